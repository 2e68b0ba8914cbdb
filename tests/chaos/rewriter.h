// Replaces texts in a stream of bytes.
#ifndef LARDER_TESTS_CHAOS_REWRITER_H_
#define LARDER_TESTS_CHAOS_REWRITER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace larder::chaos {

// Finds a text wherever the stream is cut into pieces: the end of a piece with which one might begin is held back until
// the next piece tells. What was put in is not looked at again. Not thread-safe; no call blocks.
class Rewriter {
 public:
  struct Substitution {
    std::string from;  // not empty
    std::string to;
  };

  explicit Rewriter(std::vector<Substitution> substitutions);

  // The stream's next bytes, as far as they can be told.
  std::string Next(std::string_view bytes);
  // What was held back, as nothing more comes.
  std::string End();

 private:
  // What the rest of `held_` from `at` on begins with; none if it is no such text.
  const Substitution* Match(size_t at) const;
  // The rest could yet become one.
  bool MayMatch(size_t at) const;

  const std::vector<Substitution> substitutions_;
  const std::string beginnings_;  // the first bytes of these
  std::string held_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_REWRITER_H_
