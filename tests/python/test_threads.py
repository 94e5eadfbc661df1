# SPDX-License-Identifier: Apache-2.0
"""Other threads run during a call, calls run at once, and settings may change beside them."""
import sys
import threading

import numpy as np

import halnorm


def test_interpreter_runs_on_during_a_call():
    x = np.zeros((512, 4096), "float32")
    started, go, ran = threading.Event(), threading.Event(), []

    def other():
        started.set()
        go.wait()
        ran.append(True)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=other)
    thread.start()
    started.wait()
    # From here on this thread keeps the interpreter until it lets go of it.
    sys.setswitchinterval(1000)
    try:
        go.set()
        for _ in range(1000):
            halnorm.layer_norm(x, 4096, out=x)
            if ran:
                break
        seen = bool(ran)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert seen


def test_calls_on_many_threads_while_settings_change():
    x = np.random.default_rng(0).normal(size=(64, 3000)).astype("float32")
    expected = halnorm.layer_norm(x, 3000).tobytes()
    wrong = []

    def call():
        for _ in range(50):
            if halnorm.layer_norm(x, 3000).tobytes() != expected:
                wrong.append(True)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for count in (1, 2, 0):
            halnorm.set_num_threads(count)
    assert not wrong
