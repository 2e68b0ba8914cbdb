#ifndef LARDER_SERVER_RPC_CALL_TAG_H_
#define LARDER_SERVER_RPC_CALL_TAG_H_

namespace larder {

// What goes through a completion queue as a tag. Proceed runs on the queue's one thread.
class CallTag {
 public:
  virtual ~CallTag() = default;
  virtual void Proceed(bool ok) = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_CALL_TAG_H_
