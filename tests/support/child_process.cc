#include "tests/support/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr std::chrono::milliseconds kPoll{2};

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& string : *strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::vector<std::string>& args,
                                                                  const std::vector<std::string>& environment,
                                                                  const std::string& output_path) {
  // Everything the child needs is made before fork: after it, in a program with threads, it must not allocate.
  std::vector<std::string> own_args = args;
  std::vector<std::string> own_environment = environment;
  for (char** variable = ::environ; *variable != nullptr; ++variable) own_environment.emplace_back(*variable);
  const std::vector<char*> argv = Pointers(&own_args);
  const std::vector<char*> envp = Pointers(&own_environment);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    const int output = ::open(output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::~ChildProcess() {
  Signal(SIGKILL);
  while (pid_ != 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool ChildProcess::running() {
  if (pid_ != 0 && ::waitpid(pid_, &wait_status_, WNOHANG) == pid_) pid_ = 0;
  return pid_ != 0;
}

void ChildProcess::Signal(int signal) const {
  if (pid_ != 0) ::kill(pid_, signal);
}

void ChildProcess::Pause() {
  Signal(SIGSTOP);
  while (pid_ != 0) {
    const pid_t seen = ::waitpid(pid_, &wait_status_, WUNTRACED);
    if (seen < 0 && errno == EINTR) continue;
    if (seen == pid_ && !WIFSTOPPED(wait_status_)) pid_ = 0;  // it has ended instead
    return;
  }
}

bool ChildProcess::AwaitEnd(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (running()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

}  // namespace larder
