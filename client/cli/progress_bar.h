// One line on a terminal that shows how far a long command has come.
#ifndef LARDER_CLIENT_CLI_PROGRESS_BAR_H_
#define LARDER_CLIENT_CLI_PROGRESS_BAR_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace larder {

// The line as text, at most `width` characters: bar and time left if `share` (0..1) is known, count, rate.
std::string RenderProgress(uint64_t done, std::string_view unit, std::optional<double> share, int64_t elapsed_nanos,
                           size_t width);

// Writes to `out` only if that is a terminal, ten times a second at most, and takes the line away at the end. Not
// thread-safe; `out` and `clock` must outlive it.
class ProgressBar {
 public:
  // `unit`: what is counted, in the plural.
  ProgressBar(std::FILE* out, const Clock* clock, std::string unit);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(uint64_t done, std::optional<double> share);

  // Takes the line away until the next update, so that something else can be written.
  void Clear();

 private:
  std::FILE* const out_;
  const Clock* const clock_;
  const std::string unit_;
  const bool terminal_;
  const int64_t start_nanos_;
  int64_t next_draw_nanos_;
  bool drawn_ = false;
};

}  // namespace larder

#endif  // LARDER_CLIENT_CLI_PROGRESS_BAR_H_
