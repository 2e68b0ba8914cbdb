#include "client/cli/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "client/cli/text.h"

namespace larder {
namespace {

constexpr int64_t kDrawInterval = 100 * kNanosPerMilli;
constexpr size_t kUsualWidth = 80;

size_t TerminalWidth(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth;
  return size.ws_col;
}

}  // namespace

std::string RenderProgress(uint64_t done, std::string_view unit, std::optional<double> share, int64_t elapsed_nanos,
                           size_t width) {
  const double seconds = std::max(static_cast<double>(elapsed_nanos) / static_cast<double>(kNanosPerSecond), 1e-9);
  const double rate = static_cast<double>(done) / seconds;
  std::string line =
      absl::StrFormat("%s %s  %s/s", WithCommas(done), std::string(unit), WithCommas(static_cast<uint64_t>(rate)));
  if (share.has_value()) {
    const double known = std::clamp(*share, 0.0, 1.0);
    if (known > 0) {
      const double left = seconds / known - seconds;
      line += absl::StrFormat("  ETA %s", HumanMillis(static_cast<int64_t>(left) * 1000));
    }
    line = absl::StrFormat("%3.0f%%  %s", known * 100, line);
    // What is left of the width, but for the brackets and a space, is the bar.
    if (width > line.size() + 8) {
      const size_t room = std::min<size_t>(width - line.size() - 4, 40);
      const auto full = static_cast<size_t>(known * static_cast<double>(room));
      line = absl::StrFormat("[%s%s] %s", std::string(full, '#'), std::string(room - full, '.'), line);
    }
  }
  if (line.size() > width) line.resize(width);
  return line;
}

ProgressBar::ProgressBar(std::FILE* out, const Clock* clock, std::string unit)
    : out_(out),
      clock_(clock),
      unit_(std::move(unit)),
      terminal_(isatty(fileno(out)) == 1),
      start_nanos_(clock->NowNanos()),
      next_draw_nanos_(start_nanos_) {}

ProgressBar::~ProgressBar() { Clear(); }

void ProgressBar::Update(uint64_t done, std::optional<double> share) {
  if (!terminal_) return;
  const int64_t now = clock_->NowNanos();
  if (now < next_draw_nanos_) return;
  next_draw_nanos_ = now + kDrawInterval;
  // One column stays free: a full last column makes some terminals wrap.
  const std::string line = RenderProgress(done, unit_, share, now - start_nanos_, TerminalWidth(out_) - 1);
  std::fprintf(out_, "\r\033[K%s", line.c_str());
  std::fflush(out_);
  drawn_ = true;
}

void ProgressBar::Clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", out_);
  std::fflush(out_);
  drawn_ = false;
}

}  // namespace larder
