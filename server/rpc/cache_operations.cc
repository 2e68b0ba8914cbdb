#include "server/rpc/cache_operations.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "larder/v1/cache.pb.h"
#include "server/rpc/request_bytes.h"
#include "server/rpc/request_reader.h"
#include "server/rpc/wire.h"

namespace larder {
namespace {

void FailAborted(Exchange* exchange, uint64_t current_version, bool fill) {
  if (fill) {
    return exchange->Fail(
        absl::AbortedError(
            "lease: it has ended, or the key or a group that it belongs to was written or invalidated since"),
        current_version);
  }
  exchange->Fail(
      absl::AbortedError(current_version == 0
                             ? "the condition does not hold: there is no entry"
                             : absl::StrCat("the condition does not hold: the entry's version is ", current_version)),
      current_version);
}

void FillResult(const absl::StatusOr<SetAnswer>& answer, v1::BatchSetResult* result) {
  if (!answer.ok()) {
    result->set_code(answer.status().raw_code());
    result->set_message(std::string(answer.status().message()));
    return;
  }
  result->set_version(answer->version);
  if (answer->applied) {
    result->set_ttl_ms(answer->ttl_ms);
    result->set_degraded(answer->degraded);
    return;
  }
  result->set_code(static_cast<int>(absl::StatusCode::kAborted));
  result->set_message("the condition does not hold");
}

// A limit on how often a field may stand in a request, checked before it is parsed.
struct RepeatedLimit {
  int field;
  std::string_view name;
  size_t limit;
};

absl::Status CheckedParse(const RequestBody& body, std::initializer_list<RepeatedLimit> limits,
                          google::protobuf::MessageLite* message) {
  for (const auto& [field, name, limit] : limits) {
    if (absl::Status status = CheckRepeated(body, field, limit, name); !status.ok()) return status;
  }
  return Parse(body, message);
}

// Every command of the batch is that of its entry, with the batch's consistency.
absl::StatusOr<std::vector<SetCommand>> ToCommands(const v1::BatchSetRequest& request) {
  const absl::StatusOr<bool> strong = IsStrong(request.consistency());
  if (!strong.ok()) return strong.status();
  std::vector<SetCommand> commands;
  commands.reserve(static_cast<size_t>(request.entries_size()));
  for (int i = 0; i < request.entries_size(); ++i) {
    const v1::SetRequest& entry = request.entries(i);
    absl::StatusOr<SetCommand> command = ToCommand(entry);
    if (command.ok() && !entry.namespace_().empty() && entry.namespace_() != request.namespace_()) {
      command = absl::InvalidArgumentError("namespace: must be empty or that of the batch");
    }
    if (command.ok() && entry.consistency() != v1::CONSISTENCY_UNSPECIFIED && command->strong != *strong) {
      command = absl::InvalidArgumentError("consistency: must be unspecified or that of the batch");
    }
    if (!command.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("entries[", i, "]: ", command.status().message()));
    }
    command->strong = *strong;
    commands.push_back(*std::move(command));
  }
  return commands;
}

}  // namespace

void CacheOperations::Get(const RequestBody& body, Exchange* exchange) const {
  const RequestBytes request(body);
  if (!request.ok()) return exchange->Fail(MalformedRequest("larder.v1.GetRequest"));
  const absl::StatusOr<GetCommand> command = ReadGetRequest(request.view());
  if (!command.ok()) return exchange->Fail(command.status());
  engine_->Get(exchange->context(), *command, [this, exchange](absl::StatusOr<GetAnswer> answer) {
    if (!answer.ok()) return exchange->Fail(answer.status());
    exchange->Answer(*std::move(answer), terms_);
  });
}

void CacheOperations::BatchGet(const RequestBody& body, Exchange* exchange) const {
  const RequestBytes request(body);
  if (!request.ok()) return exchange->Fail(MalformedRequest("larder.v1.BatchGetRequest"));
  const absl::StatusOr<BatchGetCommand> command = ReadBatchGetRequest(request.view());
  if (!command.ok()) return exchange->Fail(command.status());
  engine_->BatchGet(exchange->context(), *command, [this, exchange](absl::StatusOr<std::vector<BatchGetItem>> items) {
    if (!items.ok()) return exchange->Fail(items.status());
    exchange->Answer(*std::move(items), terms_);
  });
}

void CacheOperations::Set(const RequestBody& body, Exchange* exchange) const {
  v1::SetRequest request;
  if (absl::Status status = Parse(body, &request); !status.ok()) return exchange->Fail(status);
  const absl::StatusOr<SetCommand> command = ToCommand(request);
  if (!command.ok()) return exchange->Fail(command.status());
  engine_->Set(exchange->context(), *command,
               [exchange, fill = command->fill.has_value()](absl::StatusOr<SetAnswer> answer) {
                 if (!answer.ok()) return exchange->Fail(answer.status());
                 if (!answer->applied) return FailAborted(exchange, answer->version, fill);
                 v1::SetResponse response;
                 response.set_version(answer->version);
                 response.set_ttl_ms(answer->ttl_ms);
                 response.set_degraded(answer->degraded);
                 exchange->Answer(response);
               });
}

void CacheOperations::BatchSet(const RequestBody& body, Exchange* exchange) const {
  v1::BatchSetRequest request;
  if (absl::Status status =
          CheckedParse(body, {{v1::BatchSetRequest::kEntriesFieldNumber, "entries", kMaxBatchKeys}}, &request);
      !status.ok()) {
    return exchange->Fail(status);
  }
  const absl::StatusOr<std::vector<SetCommand>> commands = ToCommands(request);
  if (!commands.ok()) return exchange->Fail(commands.status());
  engine_->BatchSet(exchange->context(), request.namespace_(), *commands,
                    [exchange](absl::StatusOr<std::vector<absl::StatusOr<SetAnswer>>> answers) {
                      if (!answers.ok()) return exchange->Fail(answers.status());
                      v1::BatchSetResponse response;
                      for (const auto& answer : *answers) FillResult(answer, response.add_results());
                      exchange->Answer(response);
                    });
}

void CacheOperations::Invalidate(const RequestBody& body, Exchange* exchange) const {
  v1::InvalidateRequest request;
  if (absl::Status status = CheckedParse(body,
                                         {{v1::InvalidateRequest::kKeysFieldNumber, "keys", kMaxBatchKeys},
                                          {v1::InvalidateRequest::kTagsFieldNumber, "tags", kMaxGroups},
                                          {v1::InvalidateRequest::kPatternsFieldNumber, "patterns", kMaxGroups},
                                          {v1::InvalidateRequest::kEntitiesFieldNumber, "entities", kMaxGroups}},
                                         &request);
      !status.ok()) {
    return exchange->Fail(status);
  }
  const absl::StatusOr<InvalidateCommand> command = ToCommand(request);
  if (!command.ok()) return exchange->Fail(command.status());
  engine_->Invalidate(exchange->context(), *command, [exchange](absl::StatusOr<InvalidateAnswer> answer) {
    if (!answer.ok()) return exchange->Fail(answer.status());
    v1::InvalidateResponse response;
    response.set_dropped(answer->dropped);
    response.set_collapsed(answer->collapsed);
    response.set_deferred(answer->deferred);
    exchange->Answer(response);
  });
}

void CacheOperations::Release(const RequestBody& body, Exchange* exchange) const {
  v1::ReleaseRequest request;
  if (absl::Status status = Parse(body, &request); !status.ok()) return exchange->Fail(status);
  const absl::StatusOr<ReleaseCommand> command = ToCommand(request);
  if (!command.ok()) return exchange->Fail(command.status());
  engine_->Release(exchange->context(), *command, [exchange](absl::StatusOr<bool> released) {
    if (!released.ok()) return exchange->Fail(released.status());
    v1::ReleaseResponse response;
    response.set_released(*released);
    exchange->Answer(response);
  });
}

void CacheOperations::Touch(const RequestBody& body, Exchange* exchange) const {
  v1::TouchRequest request;
  if (absl::Status status = Parse(body, &request); !status.ok()) return exchange->Fail(status);
  engine_->Touch(exchange->context(), ToCommand(request), [exchange](absl::StatusOr<TouchAnswer> answer) {
    if (!answer.ok()) return exchange->Fail(answer.status());
    v1::TouchResponse response;
    response.set_status(answer->found ? v1::STATUS_HIT : v1::STATUS_MISS);
    response.set_version(answer->version);
    response.set_ttl_ms(answer->ttl_ms);
    exchange->Answer(response);
  });
}

}  // namespace larder
