#ifndef LARDER_SERVER_APP_RUN_H_
#define LARDER_SERVER_APP_RUN_H_

namespace larder {

// larderd: reads the command line and the configuration, serves until SIGTERM or SIGINT, reloads on SIGHUP or when
// the file has changed. Returns the exit code: 0 after an orderly end, 2 if it could not start, with one line on
// standard error for each reason.
int RunServer(int argc, char** argv);

}  // namespace larder

#endif  // LARDER_SERVER_APP_RUN_H_
