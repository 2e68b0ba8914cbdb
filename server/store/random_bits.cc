#include "server/store/random_bits.h"

#include <unistd.h>

namespace larder {

uint64_t RandomNonZeroBits() {
  uint64_t bits = 0;
  // It fails only for more than 256 bytes, or in the first moments of a machine's life.
  while (bits == 0) {
    if (getentropy(&bits, sizeof(bits)) != 0) bits = 0;
  }
  return bits;
}

}  // namespace larder
