// Between the messages of larder.v1.Admin and what the engine answers.
#ifndef LARDER_SERVER_RPC_ADMIN_WIRE_H_
#define LARDER_SERVER_RPC_ADMIN_WIRE_H_

#include "larder/v1/admin.pb.h"
#include "server/engine/inspector.h"
#include "server/engine/sweeper.h"

namespace larder {

// The command views the message, which must outlive it.
ListCommand ToCommand(const v1::ListRequest& request);

v1::InspectResponse ToMessage(const Inspection& inspection);
v1::ListResponse ToMessage(const KeyPage& page);
v1::SweepInfo ToMessage(const Sweeper::Progress& progress);

}  // namespace larder

#endif  // LARDER_SERVER_RPC_ADMIN_WIRE_H_
