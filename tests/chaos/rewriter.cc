#include "tests/chaos/rewriter.h"

#include <algorithm>
#include <utility>

namespace larder::chaos {
namespace {

std::string BeginningsOf(const std::vector<Rewriter::Substitution>& substitutions) {
  std::string beginnings;
  for (const Rewriter::Substitution& one : substitutions) {
    if (beginnings.find(one.from.front()) == std::string::npos) beginnings += one.from.front();
  }
  return beginnings;
}

}  // namespace

Rewriter::Rewriter(std::vector<Substitution> substitutions)
    : substitutions_(std::move(substitutions)), beginnings_(BeginningsOf(substitutions_)) {}

std::string Rewriter::Next(std::string_view bytes) {
  held_ += bytes;
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    const size_t candidate = std::min(held_.find_first_of(beginnings_, at), held_.size());
    out.append(held_, at, candidate - at);
    at = candidate;
    if (at == held_.size()) break;
    if (const Substitution* const found = Match(at)) {
      out += found->to;
      at += found->from.size();
    } else if (MayMatch(at)) {
      break;
    } else {
      out += held_[at++];
    }
  }
  held_.erase(0, at);
  return out;
}

std::string Rewriter::End() { return std::exchange(held_, {}); }

const Rewriter::Substitution* Rewriter::Match(size_t at) const {
  const std::string_view rest = std::string_view(held_).substr(at);
  const auto found = std::find_if(substitutions_.begin(), substitutions_.end(),
                                  [&](const Substitution& one) { return rest.starts_with(one.from); });
  return found == substitutions_.end() ? nullptr : &*found;
}

bool Rewriter::MayMatch(size_t at) const {
  const std::string_view rest = std::string_view(held_).substr(at);
  return std::any_of(substitutions_.begin(), substitutions_.end(),
                     [&](const Substitution& one) { return std::string_view(one.from).starts_with(rest); });
}

}  // namespace larder::chaos
