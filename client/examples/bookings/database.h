// SQLite, as far as the example needs it.
#ifndef CLIENT_EXAMPLES_BOOKINGS_DATABASE_H_
#define CLIENT_EXAMPLES_BOOKINGS_DATABASE_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bookings {

using Parameter = std::variant<int64_t, std::string_view>;

// The current row of a result; valid during the call that it is given to.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}

  int64_t Int(int column) const;
  int32_t Int32(int column) const { return static_cast<int32_t>(Int(column)); }
  std::string Text(int column) const;

 private:
  sqlite3_stmt* statement_;  // not owned
};

// One connection, and the statements that were prepared on it. For one thread at a time. Calls block.
class Connection {
 public:
  // INTERNAL if the file cannot be opened.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs statements that have no parameters and whose results nobody wants.
  absl::Status Execute(const std::string& sql);

  // Runs one statement, prepared at its first use, and calls `each` for each row.
  absl::Status Run(std::string_view sql, std::initializer_list<Parameter> parameters,
                   absl::FunctionRef<void(const Row&)> each);
  absl::Status Run(std::string_view sql, std::initializer_list<Parameter> parameters);

  // Adds every statement that was run with Run().
  void AddStatements(std::set<std::string>& statements) const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  explicit Connection(sqlite3* handle) : handle_(handle) {}

  absl::Status Error(std::string_view what) const;
  absl::StatusOr<sqlite3_stmt*> Prepare(std::string_view sql);

  std::unique_ptr<sqlite3, Close> handle_;
  std::unordered_map<std::string, std::unique_ptr<sqlite3_stmt, Finalize>> statements_;  // after what they stand on
};

// A database file and the connections to it that are open. Thread-safe.
class Database {
 public:
  explicit Database(std::string path) : path_(std::move(path)) {}

  // A connection for the calling thread's sole use, until it goes out of scope. There come to be as many as threads.
  class Lease {
   public:
    Lease(Database* database, std::unique_ptr<Connection> connection)
        : database_(database), connection_(std::move(connection)) {}
    Lease(Lease&& other) = default;
    Lease& operator=(Lease&& other) = delete;
    ~Lease();

    Connection* operator->() const { return connection_.get(); }
    Connection& operator*() const { return *connection_; }

   private:
    Database* database_;  // not owned
    std::unique_ptr<Connection> connection_;
  };
  absl::StatusOr<Lease> Connect();

  // Every statement that was run on a connection which nobody has now.
  std::set<std::string> Statements();

  // SQLite has one writer at a time; those who wait for this wait without polling.
  std::mutex& write_mutex() { return write_mutex_; }

 private:
  const std::string path_;
  std::mutex write_mutex_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // guarded by mutex_
};

// BEGIN now, COMMIT if asked to, else ROLLBACK.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };

  static absl::StatusOr<Transaction> Begin(Connection& connection, Kind kind);
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&& other) = delete;
  ~Transaction();

  absl::Status Commit();

 private:
  explicit Transaction(Connection* connection) : connection_(connection) {}

  Connection* connection_;  // not owned; null once it has ended
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_DATABASE_H_
