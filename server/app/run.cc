#include "server/app/run.h"

#include <pthread.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <iostream>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "CLI/CLI.hpp"
#include "core/clock.h"
#include "server/app/application.h"
#include "server/config/describe.h"
#include "server/config/resources.h"
#include "server/config/server_config.h"
#include "server/log/logger.h"

namespace larder {
namespace {

constexpr int kOk = 0;
constexpr int kCannotStart = 2;
constexpr time_t kHousekeepEverySeconds = 2;

struct CommandLine {
  std::string config_file;
  bool check = false;
  bool print_config = false;
};

// The exit code, if the command line says all there is to say.
std::optional<int> ParseCommandLine(int argc, char** argv, CommandLine* line) {
  CLI::App app{"larderd, the server of Larder: a cache that services call over gRPC"};
  app.set_version_flag("--version", "larderd " LARDER_VERSION);
  app.add_option("--config", line->config_file, "Configuration file, YAML or JSON; else LARDER_CONFIG; else none")
      ->type_name("FILE");
  app.add_flag("--check", line->check, "Check the configuration and exit: 0 if it is good, else 2");
  app.add_flag("--print-config", line->print_config, "Print the settings that result, without secrets, and exit");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("larderd: ") + error.what() + " (see larderd --help)\n";
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kCannotStart;
  }
  return std::nullopt;
}

absl::StatusOr<LoadedConfig> Load(const CommandLine& line) {
  return LoadConfig({.file = line.config_file, .environment = ProcessEnvironment(), .resources = DetectResources()});
}

void PrintProblems(const absl::Status& status) {
  std::string text(status.message());
  for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) {
    text.insert(at + 1, "larderd: ");
  }
  std::cerr << "larderd: " << text << std::endl;
}

// Says when a file is another one than before. A swapped symbolic link, as Kubernetes does with a ConfigMap, counts.
class FileWatch {
 public:
  explicit FileWatch(std::string path) : path_(std::move(path)), seen_(Look()) {}

  bool Changed() {
    if (path_.empty()) return false;
    const Identity now = Look();
    return std::exchange(seen_, now) != now;
  }

 private:
  using Identity = std::tuple<dev_t, ino_t, time_t, long, off_t>;  // NOLINT: as stat has them

  Identity Look() const {
    struct stat found = {};
    if (path_.empty() || stat(path_.c_str(), &found) != 0) return {};
    return {found.st_dev, found.st_ino, found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_size};
  }

  std::string path_;
  Identity seen_;
};

std::string ConfigFile(const CommandLine& line) {
  if (!line.config_file.empty()) return line.config_file;
  const Environment environment = ProcessEnvironment();
  const auto named = environment.find("LARDER_CONFIG");
  return named == environment.end() ? "" : named->second;
}

void Reload(const CommandLine& line, Logger* logger, Application* application) {
  const absl::StatusOr<LoadedConfig> loaded = Load(line);
  const absl::Status status = loaded.ok() ? Application::Check(loaded->settings) : loaded.status();
  if (!status.ok()) {
    logger->Error("the changed configuration is not good; going on with the one in force",
                  {{"error", std::string(status.message())}});
    return;
  }
  for (const std::string& warning : loaded->warnings) logger->Warning(warning);
  application->Reload(loaded->settings);
}

// Until SIGTERM or SIGINT, which must be blocked in every thread, as SIGHUP must.
void ServeUntilTold(const sigset_t& signals, const CommandLine& line, FileWatch file, Logger* logger,
                    Application* application) {
  for (;;) {
    const timespec wait{.tv_sec = kHousekeepEverySeconds, .tv_nsec = 0};
    const int signal = sigtimedwait(&signals, nullptr, &wait);
    if (signal == SIGTERM || signal == SIGINT) {
      logger->Info("told to stop", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
      return;
    }
    // Looked at after SIGHUP too, so that one change is not applied twice.
    const bool changed = file.Changed();
    if (signal == SIGHUP || changed) Reload(line, logger, application);
    application->Housekeep();
  }
}

}  // namespace

int RunServer(int argc, char** argv) {
  CommandLine line;
  if (const std::optional<int> code = ParseCommandLine(argc, argv, &line)) return *code;
  // From before the file is read: what changes while the server starts is not missed.
  FileWatch file(ConfigFile(line));
  const absl::StatusOr<LoadedConfig> loaded = Load(line);
  if (!loaded.ok()) {
    PrintProblems(loaded.status());
    return kCannotStart;
  }
  if (absl::Status status = Application::Check(loaded->settings); !status.ok()) {
    PrintProblems(status);
    return kCannotStart;
  }
  if (line.print_config) std::cout << DescribeConfig(loaded->settings);
  if (line.print_config || line.check) {
    for (const std::string& warning : loaded->warnings) std::cerr << "larderd: warning: " << warning << std::endl;
    return kOk;
  }

  // Before any thread starts, so that each inherits it and the signals wait for sigtimedwait.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const SystemClock clock;
  Logger logger(loaded->settings.log, &clock);
  for (const std::string& warning : loaded->warnings) logger.Warning(warning);
  absl::StatusOr<std::unique_ptr<Application>> application = Application::Start(loaded->settings, &clock, &logger);
  if (!application.ok()) {
    PrintProblems(application.status());
    return kCannotStart;
  }
  ServeUntilTold(signals, line, std::move(file), &logger, application->get());
  (*application)->Stop();
  return kOk;
}

}  // namespace larder
