// What the cache can be asked for, by whichever way the request came.
#ifndef LARDER_SERVER_RPC_CACHE_OPERATIONS_H_
#define LARDER_SERVER_RPC_CACHE_OPERATIONS_H_

#include "server/engine/cache_engine.h"
#include "server/rpc/exchange.h"
#include "server/rpc/request_body.h"

namespace larder {

// Each decodes the request, checks it, asks the engine, and tells the exchange once: inline, before it returns, where
// no store had to be asked, else on a thread of the store. The body is not looked at after it has returned.
// Thread-safe.
class CacheOperations {
 public:
  using Method = void (CacheOperations::*)(const RequestBody& body, Exchange* exchange) const;

  // The engine must outlive this, and what is under way.
  CacheOperations(Exchange::Terms terms, CacheEngine* engine) : terms_(terms), engine_(engine) {}

  const Exchange::Terms& terms() const { return terms_; }

  void Get(const RequestBody& body, Exchange* exchange) const;
  void Set(const RequestBody& body, Exchange* exchange) const;
  void Invalidate(const RequestBody& body, Exchange* exchange) const;
  void Release(const RequestBody& body, Exchange* exchange) const;
  void BatchGet(const RequestBody& body, Exchange* exchange) const;
  void BatchSet(const RequestBody& body, Exchange* exchange) const;
  void Touch(const RequestBody& body, Exchange* exchange) const;

 private:
  const Exchange::Terms terms_;
  CacheEngine* const engine_;
};

}  // namespace larder

#endif  // LARDER_SERVER_RPC_CACHE_OPERATIONS_H_
