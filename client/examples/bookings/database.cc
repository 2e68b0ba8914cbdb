#include "client/examples/bookings/database.h"

#include <sqlite3.h>

#include <utility>

namespace bookings {
namespace {

// What a database gets that is to be as fast as it can be: everything mapped and cached, commits that do not wait for
// the disk. Readers do not wait for the writer either: the generator leaves the file in write-ahead mode.
constexpr char kPragmas[] =
    "PRAGMA busy_timeout = 10000; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 4294967296;"
    "PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 10000;";

}  // namespace

int64_t Row::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Row::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? std::string()
                         : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

void Connection::Close::operator()(sqlite3* handle) const { sqlite3_close(handle); }
void Connection::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(handle));
  if (result != SQLITE_OK) return connection->Error("cannot open " + path);
  if (absl::Status status = connection->Execute(kPragmas); !status.ok()) return status;
  return connection;
}

absl::Status Connection::Error(std::string_view what) const {
  return absl::InternalError(std::string(what) + ": " + sqlite3_errmsg(handle_.get()));
}

absl::Status Connection::Execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return Error(sql);
  return absl::OkStatus();
}

absl::StatusOr<sqlite3_stmt*> Connection::Prepare(std::string_view sql) {
  std::unique_ptr<sqlite3_stmt, Finalize>& statement = statements_[std::string(sql)];
  if (statement == nullptr) {
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                           &prepared, nullptr) != SQLITE_OK) {
      return Error(sql);
    }
    statement.reset(prepared);
  }
  return statement.get();
}

absl::Status Connection::Run(std::string_view sql, std::initializer_list<Parameter> parameters,
                             absl::FunctionRef<void(const Row&)> each) {
  const absl::StatusOr<sqlite3_stmt*> prepared = Prepare(sql);
  if (!prepared.ok()) return prepared.status();
  sqlite3_stmt* statement = *prepared;
  int index = 0;
  for (const Parameter& parameter : parameters) {
    ++index;
    if (const auto* number = std::get_if<int64_t>(&parameter)) {
      sqlite3_bind_int64(statement, index, *number);
    } else {
      const std::string_view text = std::get<std::string_view>(parameter);
      sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    }
  }
  int result = SQLITE_ROW;
  const Row row(statement);
  while ((result = sqlite3_step(statement)) == SQLITE_ROW) each(row);
  absl::Status status = result == SQLITE_DONE ? absl::OkStatus() : Error(sql);
  sqlite3_reset(statement);
  return status;
}

absl::Status Connection::Run(std::string_view sql, std::initializer_list<Parameter> parameters) {
  return Run(sql, parameters, [](const Row&) {});
}

void Connection::AddStatements(std::set<std::string>& statements) const {
  for (const auto& [sql, prepared] : statements_) statements.insert(sql);
}

absl::StatusOr<Database::Lease> Database::Connect() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      Lease lease(this, std::move(idle_.back()));
      idle_.pop_back();
      return lease;
    }
  }
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(path_);
  if (!connection.ok()) return connection.status();
  return Lease(this, *std::move(connection));
}

std::set<std::string> Database::Statements() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::set<std::string> statements;
  for (const std::unique_ptr<Connection>& connection : idle_) connection->AddStatements(statements);
  return statements;
}

Database::Lease::~Lease() {
  if (connection_ == nullptr) return;  // moved from
  const std::lock_guard<std::mutex> lock(database_->mutex_);
  database_->idle_.push_back(std::move(connection_));
}

absl::StatusOr<Transaction> Transaction::Begin(Connection& connection, Kind kind) {
  absl::Status status = connection.Run(kind == Kind::kRead ? "BEGIN" : "BEGIN IMMEDIATE", {});
  if (!status.ok()) return status;
  return Transaction(&connection);
}

Transaction::~Transaction() {
  if (connection_ == nullptr) return;
  connection_->Execute("ROLLBACK").IgnoreError();  // of a transaction that SQLite may have ended itself
}

absl::Status Transaction::Commit() {
  absl::Status status = connection_->Run("COMMIT", {});
  if (status.ok()) connection_ = nullptr;
  return status;
}

}  // namespace bookings
