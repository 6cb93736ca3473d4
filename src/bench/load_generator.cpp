#include "bench/load_generator.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/counter_rng.h"
#include "base/log.h"
#include "bench/http_client.h"

namespace erne::bench {
namespace {

constexpr int64_t kProgressUs = 10'000'000;
constexpr long kConnectTimeoutSeconds = 30;
constexpr rlim_t kSpareDescriptors = 64;  // what the process has open besides connections

class Epoll {
 public:
  Epoll() = default;
  ~Epoll() { close(fd_); }
  Epoll(const Epoll&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_ = epoll_create1(EPOLL_CLOEXEC);
};

// libcurl's socket interface over epoll: a wake-up costs what is ready, not what is open.
class LoadGenerator {
 public:
  LoadGenerator(const LoadPlan& plan, const Clock& clock)
      : plan_(plan),
        clock_(clock),
        origin_us_(clock.now_us()),
        headers_(request_headers(plan.api_key)),
        outcomes_(plan.bodies.size()) {
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(plan.max_concurrency));
  }

  std::vector<RequestOutcome> run() {
    while (num_finished_ < plan_.bodies.size()) {
      start_due_requests();
      wait_for_sockets();
      if (timer_us_ >= 0 && now_us() >= timer_us_) {
        timer_us_ = -1;
        socket_action(CURL_SOCKET_TIMEOUT, 0);
      }
      collect_finished();
      report_progress();
    }
    return std::move(outcomes_);
  }

 private:
  struct Transfer {
    size_t request;  // index of its body and outcome
    CurlEasy handle;
    CompletionStream stream;
    LoadGenerator* generator;
    std::array<char, CURL_ERROR_SIZE> error = {};
  };

  int64_t now_us() const { return clock_.now_us() - origin_us_; }

  bool may_start() const {
    return num_started_ < plan_.bodies.size() &&
           running_.size() < static_cast<size_t>(plan_.max_concurrency);
  }

  void start_due_requests() {
    while (may_start() && plan_.arrivals_us[num_started_] <= now_us())
      start_request(num_started_++);
  }

  void start_request(size_t request) {
    CurlEasy owner = make_request(plan_.url, headers_.get());
    CURL* handle = owner.get();
    auto transfer = std::make_unique<Transfer>(
        Transfer{request, std::move(owner), CompletionStream(now_us()), this, {}});
    const std::string& body = plan_.bodies[request];
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer.get());
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, transfer->error.data());
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
                     static_cast<long>(plan_.request_timeout_us / 1000));
    running_[handle] = std::move(transfer);
    CHECK_EQ(curl_multi_add_handle(multi_.get(), handle), CURLM_OK);
  }

  // Until a socket is ready, libcurl's timer is due, the next request is, or progress is to be
  // told.
  void wait_for_sockets() {
    int64_t until_us = next_progress_us_;
    if (timer_us_ >= 0) until_us = std::min(until_us, timer_us_);
    if (may_start()) until_us = std::min(until_us, plan_.arrivals_us[num_started_]);
    const int64_t wait_us = std::max<int64_t>(0, until_us - now_us());
    std::array<epoll_event, 256> events;
    const int num_ready = epoll_wait(epoll_.fd(), events.data(), events.size(),
                                     static_cast<int>((wait_us + 999) / 1000));
    for (int i = 0; i < num_ready; ++i) {
      int action = 0;
      if (events[i].events & EPOLLIN) action |= CURL_CSELECT_IN;
      if (events[i].events & EPOLLOUT) action |= CURL_CSELECT_OUT;
      if (events[i].events & (EPOLLERR | EPOLLHUP)) action |= CURL_CSELECT_ERR;
      socket_action(events[i].data.fd, action);
    }
  }

  void socket_action(curl_socket_t socket, int action) {
    int num_running = 0;
    CHECK_EQ(curl_multi_socket_action(multi_.get(), socket, action, &num_running), CURLM_OK);
  }

  void collect_finished() {
    int num_left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &num_left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const auto it = running_.find(message->easy_handle);
      Transfer& transfer = *it->second;
      std::string error;
      if (message->data.result != CURLE_OK) {
        error =
            transfer.error[0] ? transfer.error.data() : curl_easy_strerror(message->data.result);
      }
      outcomes_[transfer.request] =
          transfer.stream.finish(http_status(transfer.handle.get()), error, now_us());
      curl_multi_remove_handle(multi_.get(), transfer.handle.get());
      running_.erase(it);
      ++num_finished_;
    }
  }

  void report_progress() {
    if (now_us() < next_progress_us_) return;
    next_progress_us_ += kProgressUs;
    log_info("{} of {} requests finished, {} running", num_finished_, plan_.bodies.size(),
             running_.size());
  }

  static int http_status(CURL* handle) {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }

  static size_t on_reply(char* bytes, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const bool wants_more = transfer.stream.feed(
        http_status(transfer.handle.get()), {bytes, size * count}, transfer.generator->now_us());
    return wants_more ? size * count : 0;
  }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
    const int epoll = static_cast<LoadGenerator*>(self)->epoll_.fd();
    if (what == CURL_POLL_REMOVE) {
      epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
      return 0;
    }
    epoll_event event = {};
    event.data.fd = socket;
    if (what & CURL_POLL_IN) event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, socket, &event) == 0) return 0;
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event), 0);
    return 0;
  }

  static int on_timer(CURLM*, long timeout_ms, void* self) {
    auto& generator = *static_cast<LoadGenerator*>(self);
    generator.timer_us_ = timeout_ms < 0 ? -1 : generator.now_us() + timeout_ms * 1000;
    return 0;
  }

  const LoadPlan& plan_;
  const Clock& clock_;
  const int64_t origin_us_;
  const CurlHeaders headers_;
  int64_t next_progress_us_ = kProgressUs;
  int64_t timer_us_ = -1;  // when libcurl wants to be called; -1: not
  const Epoll epoll_;      // ends after multi_, whose last connections still call back
  const CurlMulti multi_{curl_multi_init()};
  size_t num_started_ = 0, num_finished_ = 0;
  std::map<CURL*, std::unique_ptr<Transfer>> running_;  // ends before multi_ does
  std::vector<RequestOutcome> outcomes_;
};

// A connection is a descriptor: lifts the soft limit as far as the streams need.
Result<void> allow_descriptors(int max_concurrency) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t wanted = static_cast<rlim_t>(max_concurrency) + kSpareDescriptors;
  if (limit.rlim_cur >= wanted) return {};
  if (limit.rlim_max < wanted) {
    return invalid(fmt::format("{} streams at once need {} file descriptors, this process may have "
                               "{}; raise it (ulimit -n) or set --max-concurrency",
                               max_concurrency, wanted, limit.rlim_max),
                   "max_concurrency");
  }
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
  return {};
}

}  // namespace

std::vector<int64_t> poisson_arrivals(int num_requests, double rate, uint64_t seed) {
  std::vector<int64_t> arrivals(static_cast<size_t>(num_requests), 0);
  if (std::isinf(rate)) return arrivals;
  const CounterRng rng(seed, /*stream=*/0xA551);
  double at_seconds = 0;
  for (size_t i = 0; i < arrivals.size(); ++i) {
    arrivals[i] = static_cast<int64_t>(at_seconds * 1e6);
    at_seconds -= std::log1p(-rng.uniform(i)) / rate;  // exponential gaps
  }
  return arrivals;
}

Result<std::vector<RequestOutcome>> generate_load(const LoadPlan& plan, const Clock& clock) {
  CHECK_EQ(plan.bodies.size(), plan.arrivals_us.size());
  CHECK_GE(plan.max_concurrency, 1);
  TRY(allow_descriptors(plan.max_concurrency));
  return LoadGenerator(plan, clock).run();
}

}  // namespace erne::bench
