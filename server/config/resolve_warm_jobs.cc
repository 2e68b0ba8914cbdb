#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/fields.h"
#include "server/config/resolve.h"
#include "server/config/text.h"
#include "server/config/units.h"

namespace larder {
namespace {

using config::v1::NamespaceConfig;
using config::v1::WarmJobConfig;

constexpr int64_t kSecond = 1'000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr int64_t kDay = 24 * kHour;
constexpr size_t kMaxJobs = 20;
constexpr int kMaxKeys = 10'000;
constexpr int64_t kMaxHottest = 100'000;

std::vector<std::string> SourcesOf(const WarmJobConfig& config) {
  std::vector<std::string> sources;
  if (!config.keys().empty()) sources.emplace_back("keys");
  if (config.has_prefix()) sources.emplace_back("prefix");
  if (config.has_file()) sources.emplace_back("file");
  if (config.has_hottest()) sources.emplace_back("hottest");
  return sources;
}

void CheckSources(const std::string& path, const WarmJobConfig& config, const NamespacePolicy& policy,
                  Findings& findings) {
  const std::vector<std::string> sources = SourcesOf(config);
  if (sources.empty()) {
    findings.AddProblem(path, "has none of keys, prefix, file and hottest");
  } else if (sources.size() > 1) {
    findings.AddProblem(path, absl::StrCat("has ", absl::StrJoin(sources, " and "), ", must have one of them"));
  } else if (sources.front() != "file" && !policy.origin.has_value()) {
    findings.AddProblem(absl::StrCat(path, ".", sources.front()),
                        absl::StrCat("needs an origin, which namespaces.", policy.name, " does not have"));
  }
}

std::vector<std::string> ResolveKeys(const std::string& path, const WarmJobConfig& config,
                                     const NamespacePolicy& policy, Findings& findings) {
  if (config.keys_size() > kMaxKeys) {
    findings.AddProblem(path, absl::StrCat(config.keys_size(), " keys, the limit is ", kMaxKeys));
    return {};
  }
  for (int i = 0; i < config.keys_size(); ++i) {
    const absl::Status status = CheckKey(policy, config.keys(i));
    if (!status.ok()) findings.AddProblem(absl::StrCat(path, "[", i, "]"), std::string(status.message()));
  }
  return {config.keys().begin(), config.keys().end()};
}

WarmJobPolicy ResolveJob(const std::string& name, const std::string& path, const WarmJobConfig& config,
                         const NamespacePolicy& policy, Findings& findings) {
  CheckSources(path, config, policy, findings);
  const Section section(path, config, &findings);
  WarmJobPolicy job;
  job.name = name;
  job.keys = ResolveKeys(path + ".keys", config, policy, findings);
  if (config.has_prefix()) {
    job.prefix = config.prefix();
    if (job.prefix->size() > policy.max_key_bytes) {
      section.AddProblem("prefix", absl::StrCat(job.prefix->size(), " bytes, the limit is ", policy.max_key_bytes));
    }
  }
  if (config.has_file()) {
    job.file = config.file();
    if (job.file->empty()) section.AddProblem("file", "empty, must name a file");
  }
  if (config.has_hottest()) job.hottest = static_cast<int>(section.Integer("hottest", {1, 1, kMaxHottest}));
  job.at_start = section.Flag("at_start", job.at_start);
  job.every_ms = section.Integer("every", {job.every_ms, kSecond, 30 * kDay});
  job.concurrency = static_cast<int>(section.Integer("concurrency", {job.concurrency, 1, 1'000}));
  job.max_per_second = static_cast<int>(section.Integer("max_per_second", {job.max_per_second, 0, 1'000'000}));
  job.hold_readiness_ms = section.Integer("hold_readiness", {job.hold_readiness_ms, 0, kHour});
  if (job.hold_readiness_ms > 0 && !job.at_start) {
    section.AddProblem("hold_readiness",
                       absl::StrCat(FormatDuration(job.hold_readiness_ms), " contradicts at_start: false"));
  }
  return job;
}

}  // namespace

std::vector<WarmJobPolicy> ResolveWarmJobs(const std::string& path, const NamespaceConfig& own,
                                           const NamespacePolicy& policy, Findings& findings) {
  const std::string jobs_path = path + ".warm_jobs";
  std::map<std::string, const WarmJobConfig*> configs;
  for (const auto& [name, config] : own.warm_jobs()) configs[name] = &config;
  if (configs.size() > kMaxJobs) {
    findings.AddProblem(jobs_path, absl::StrCat(configs.size(), " jobs, the limit is ", kMaxJobs));
    return {};
  }
  std::vector<WarmJobPolicy> jobs;
  for (const auto& [name, config] : configs) {
    const std::string job_path = absl::StrCat(jobs_path, ".", PathName(name));
    if (!IsValidNamespaceName(name)) findings.AddProblem(job_path, "a name must match [a-z0-9_-]{1,63}");
    jobs.push_back(ResolveJob(name, job_path, *config, policy, findings));
  }
  return jobs;
}

}  // namespace larder
