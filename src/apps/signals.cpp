#include "apps/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/log.h"

namespace erne::apps {

Signals::Signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  wakes_ = eventfd(0, EFD_CLOEXEC);
  CHECK(signals_ >= 0 && wakes_ >= 0);
}

Signals::~Signals() {
  ::close(signals_);
  ::close(wakes_);
}

int Signals::wait() {
  while (true) {
    pollfd ready[2] = {{signals_, POLLIN, 0}, {wakes_, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;
    signalfd_siginfo info;
    if (ready[0].revents != 0 && ::read(signals_, &info, sizeof(info)) == sizeof(info)) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGTERM || signal == SIGINT) return signal;
      log_info("SIG{}: nothing to do; SIGTERM ends the server", sigabbrev_np(signal));
      continue;
    }
    uint64_t count;
    if (ready[1].revents != 0 && ::read(wakes_, &count, sizeof(count)) == sizeof(count)) return 0;
  }
}

void Signals::wake() {
  const uint64_t one = 1;
  const ssize_t written = ::write(wakes_, &one, sizeof(one));
  CHECK_EQ(written, static_cast<ssize_t>(sizeof(one)));
}

}  // namespace erne::apps
