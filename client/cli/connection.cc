#include "client/cli/connection.h"

#include <grpc/support/time.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

#include "core/clock.h"

namespace larder {
namespace {

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  // Channels with equal arguments would otherwise share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A write that may have arrived must not be sent again.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // A cache is near; a proxy that the environment names for the web is not on the way to it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // What the server holds, we can take: its own limit decides.
  arguments.SetMaxReceiveMessageSize(-1);
  // A server that comes back is found again within a second; gRPC's default goes up to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Connection::Connection(Options options)
    : options_(std::move(options)), channel_(NewChannel(options_.address)), cache_(v1::Cache::NewStub(channel_)) {}

void Connection::SetDeadline(grpc::ClientContext* context, int64_t wait_ms) const {
  context->set_deadline(gpr_time_from_millis(timeout_ms() + wait_ms, GPR_TIMESPAN));
}

std::vector<std::shared_ptr<grpc::Channel>> Connection::NewChannels(int count) const {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < count; ++i) channels.push_back(NewChannel(options_.address));
  return channels;
}

}  // namespace larder
