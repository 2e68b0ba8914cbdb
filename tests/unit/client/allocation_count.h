#ifndef LARDER_TESTS_UNIT_CLIENT_ALLOCATION_COUNT_H_
#define LARDER_TESTS_UNIT_CLIENT_ALLOCATION_COUNT_H_

namespace larder {

// How often this thread has called operator new. Linking it replaces the program's operators.
int AllocationCount();

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_CLIENT_ALLOCATION_COUNT_H_
