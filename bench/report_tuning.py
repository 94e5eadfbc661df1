# SPDX-License-Identifier: Apache-2.0
"""Reads the logs of the tuner and groups what is in them, with Python's own library alone."""
import json
from collections import namedtuple
from dataclasses import dataclass, field

from report_benchmarks import Malformed

LOG_FORMAT = 1
STATUSES = ("timed", "wrong", "crashed", "timeout", "illegal", "duplicate")

Candidate = namedtuple("Candidate", "at rung origin knobs launch status message score bytes")
FoundRow = namedtuple("FoundRow", "at kernel row gain bytes")


@dataclass
class Family:
    """What a session of the tuner tried for one kernel."""
    kernel: str
    candidates: list = field(default_factory=list)
    rows: list = field(default_factory=list)

    def counts(self):
        return {status: sum(c.status == status for c in self.candidates) for status in STATUSES}

    def best_so_far(self):
        """(at, score) of each timed candidate's moment. Only the highest rung that was reached
        counts, so that the best falls where the times of a lower rung flattered it."""
        found, rung, best = [], -1, 0.0
        for candidate in self.candidates:
            if candidate.status != "timed" or candidate.rung < rung:
                continue
            best = candidate.score if candidate.rung > rung else max(best, candidate.score)
            rung = candidate.rung
            found.append((candidate.at, best))
        return found


@dataclass
class Session:
    path: str
    header: dict
    families: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def family(self, kernel):
        return self.families.setdefault(kernel, Family(kernel))


def _read_record(record, session):
    if "profile" in record or "finished" in record:
        return
    if "row" in record:
        row = FoundRow(record["at"], record["kernel"], record["row"], record["gain"],
                       record["bytes"])
        session.family(row.kernel).rows.append(row)
        return
    status = record["status"]
    if status not in STATUSES:
        raise Malformed("the status is '%s', not one of %s" % (status, ", ".join(STATUSES)))
    score = record["score"] if status == "timed" else None
    session.family(record["kernel"]).candidates.append(Candidate(
        record["at"], record["rung"], record["origin"], record["knobs"], record["launch"], status,
        record.get("message", ""), score, record.get("bytes")))


def read_tuning(path):
    """The sessions of a log: each begins with its header."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    sessions = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if "halnorm_tune" in record:
                if record["halnorm_tune"] != LOG_FORMAT:
                    raise Malformed("the format is %s; this report reads %d"
                                    % (record["halnorm_tune"], LOG_FORMAT))
                sessions.append(Session(path, record))
                continue
            if not sessions:
                raise Malformed("the log does not begin with {\"halnorm_tune\":%d, ...}"
                                % LOG_FORMAT)
            _read_record(record, sessions[-1])
        except json.JSONDecodeError:
            # The tuner was interrupted.
            if number < len(lines) or not sessions:
                raise Malformed("%s:%d: no JSON: '%s'" % (path, number, line[:60])) from None
            sessions[-1].notes.append("The log ends in the middle of a line, which is left out.")
        except Malformed as error:
            raise Malformed("%s:%d: %s" % (path, number, error)) from None
        except (KeyError, TypeError) as error:
            raise Malformed("%s:%d: not as the tuner writes it: %r"
                            % (path, number, error)) from None
    if not sessions:
        raise Malformed("%s: the log is empty" % path)
    return sessions
