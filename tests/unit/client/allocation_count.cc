// In a file of its own: where compilers see both sides, they take malloc and operator delete for a mismatch.
#include "tests/unit/client/allocation_count.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local int count = 0;

}  // namespace

void* operator new(size_t size, const std::nothrow_t& /*unused*/) noexcept {
  ++count;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new(size_t size) {
  void* memory = operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t& /*unused*/) noexcept { std::free(memory); }

namespace larder {

int AllocationCount() { return count; }

}  // namespace larder
