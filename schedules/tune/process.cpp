// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <thread>

extern char **environ;

namespace halnorm_tune {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The end of it that a child writes to is not inherited by others.
struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0)
      throw std::runtime_error("pipe: " + std::string(strerror(errno)));
  }
  ~Pipe() {
    for (int end : ends) {
      if (end >= 0) close(end);
    }
  }
  void close_writer() {
    close(ends[1]);
    ends[1] = -1;
  }
  // False at the end of what there is to read.
  bool read_some(std::string *text) const {
    char buffer[4096];
    const ssize_t count = read(ends[0], buffer, sizeof buffer);
    if (count > 0) text->append(buffer, static_cast<size_t>(count));
    return count > 0 || (count < 0 && errno == EINTR);
  }
  int ends[2];
};

pid_t start(const Command &command, const Pipe &output, const Pipe &errors) {
  std::vector<char *> arguments;
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output.ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.ends[1], STDERR_FILENO);
  // A group of its own, to be killed whole.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int failure =
      posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) throw std::runtime_error(command[0] + ": " + strerror(failure));
  return child;
}

}  // namespace

std::string Finished::trouble() const {
  if (good()) return "";
  std::string text = timed_out     ? "exceeded its time limit"
                     : signal != 0 ? "ended by signal " + std::to_string(signal)
                                   : "ended with status " + std::to_string(status);
  constexpr size_t kMost = 300;
  const size_t length = errors.size();
  if (length > 0) text += ": " + errors.substr(length > kMost ? length - kMost : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Finished run(const Command &command, double limit) {
  Finished finished;
  Pipe output, errors;
  const Clock::time_point begin = Clock::now();
  const pid_t child = start(command, output, errors);
  output.close_writer();
  errors.close_writer();
  pollfd watched[] = {{output.ends[0], POLLIN, 0}, {errors.ends[0], POLLIN, 0}};
  std::string *texts[] = {&finished.output, &finished.errors};
  const Pipe *pipes[] = {&output, &errors};
  while (watched[0].fd >= 0 || watched[1].fd >= 0) {
    const double left = limit - seconds_since(begin);
    if (left <= 0 && !finished.timed_out) {
      finished.timed_out = true;
      kill(-child, SIGKILL);
    }
    const int ready = poll(watched, 2, finished.timed_out ? -1 : static_cast<int>(left * 1000) + 1);
    if (ready <= 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (watched[i].revents != 0 && !pipes[i]->read_some(texts[i])) watched[i].fd = -1;
    }
  }
  // It may have closed its output and go on.
  int status = 0;
  while (!finished.timed_out && waitpid(child, &status, WNOHANG) == 0) {
    if (seconds_since(begin) < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    finished.timed_out = true;
    kill(-child, SIGKILL);
  }
  if (finished.timed_out) waitpid(child, &status, 0);
  finished.seconds = seconds_since(begin);
  if (WIFSIGNALED(status)) finished.signal = WTERMSIG(status);
  if (WIFEXITED(status)) finished.status = WEXITSTATUS(status);
  return finished;
}

std::vector<Finished> run_all(const std::vector<Command> &commands, int jobs, double limit) {
  std::vector<Finished> finished(commands.size());
  std::vector<std::exception_ptr> failures(commands.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < commands.size(); i = next++) {
      try {
        finished[i] = run(commands[i], limit);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  for (int job = 1; job < jobs; ++job) threads.emplace_back(work);
  work();
  for (std::thread &thread : threads) thread.join();
  for (const std::exception_ptr &failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return finished;
}

}  // namespace halnorm_tune
