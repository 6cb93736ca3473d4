// Signals to the process, and wakes by its own threads, as one queue for the main thread. Signals
// are waited for, not handled: they are blocked from construction on, in this thread and in all
// that it starts later, so construct it before any other thread.
#pragma once

namespace erne::apps {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Until SIGTERM or SIGINT came (its number) or wake() was called (0). SIGHUP, SIGUSR1 and SIGUSR2
  // ask for nothing here: they are logged.
  int wait();
  void wake();  // from any thread; several before a wait() count as one

 private:
  int signals_ = -1, wakes_ = -1;  // file descriptors
};

}  // namespace erne::apps
