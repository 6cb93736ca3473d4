#include "apps/chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <mutex>
#include <thread>

#include "apps/loaded_model.h"
#include "apps/options.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "text/detokenizer.h"

namespace erne::apps {
namespace {

constexpr char kChatUsage[] =
    "erne chat --model DIR [flags]\n"
    "\n"
    "Talks to a model in the terminal. An empty line or Ctrl-D ends it, Ctrl-C stops an answer.\n"
    "Besides its own flags it takes those of erne serve.\n";

struct ChatOptions {
  std::string message, system;
  int max_tokens = 0;
  double temperature = 0;
};
using C = ChatOptions;

constexpr FlagRow<ChatOptions> kChatFlags[] = {
    {"--message", "Chat", &C::message, "ask this one thing, print the answer and end"},
    {"--system", "Chat", &C::system, "system message of the conversation"},
    {"--max-tokens", "Chat", &C::max_tokens, "longest answer; 0: what fits the context",
     from_to(0, std::numeric_limits<int>::max())},
    {"--temperature", "Chat", &C::temperature, "0 takes the likeliest token every time",
     from_to(0, 2)},
};

Command chat_command(ChatOptions& chat, ServeOptions& serve) {
  Command command{.name = "erne chat"};
  command.add(kChatFlags, chat);
  add_serve_flags(command, serve);
  return command;
}

constexpr size_t kMaxPrompt = std::numeric_limits<int>::max();

std::atomic<bool> interrupted = false;

Json message(const char* role, const std::string& content) {
  return Json().set("role", role).set("content", content);
}

class Conversation {
 public:
  Conversation(const LoadedModel& loaded, const ChatOptions& options)
      : loaded_(loaded),
        options_(options),
        engine_(*loaded.executor, loaded.capacity.limits, clock_),
        thread_([this] { engine_.run(); }) {
    if (!options.system.empty()) messages_.push_back(message("system", options.system));
  }
  ~Conversation() {
    engine_.stop();
    thread_.join();
  }

  // Prints the answer as it comes. After an error the conversation is as it was before.
  Result<void> ask(const std::string& text) {
    messages_.push_back(message("user", text));
    auto answer = answer_to(messages_);
    if (answer.ok())
      messages_.push_back(message("assistant", *answer));
    else
      messages_.pop_back();
    return answer.ok() ? Result<void>() : answer.status();
  }

 private:
  Result<std::string> answer_to(const Json::Array& messages) {
    const auto rendered = TRY(loaded_.chat_prompt->render(
        messages, Json(), Json(), {static_cast<size_t>(loaded_.capacity.limits.max_model_len)}));
    const auto stream = TRY(engine_.client().submit(request(rendered.ids), [this] { notify(); }));
    std::string answer;
    text::Detokenizer detokenizer(*loaded_.tokenizer, true);
    const auto show = [&](std::string_view piece) {
      answer += piece;
      std::cout << piece << std::flush;
    };
    for (bool finished = false; !finished;) {
      const engine::StreamEvent event = wait(*stream);
      for (sched::TokenId token : event.event.tokens) show(detokenizer.push(token));
      finished = event.event.finish.has_value();
      if (finished && *event.event.finish == sched::FinishReason::kError) return event.event.error;
    }
    show(detokenizer.finish());
    std::cout << std::endl;
    return answer;
  }

  sched::Request request(const std::vector<sched::TokenId>& prompt) {
    sched::Request out;
    out.id = current_ = engine_.client().next_id();
    out.prompt = prompt;
    out.sampling.temperature = static_cast<float>(options_.temperature);
    out.sampling.seed = clock_.now_us();
    out.stop.eos_ids = loaded_.generation.eos_token_ids;
    // What leaves no room is refused as every request is.
    const auto used = static_cast<int>(std::min<size_t>(prompt.size(), kMaxPrompt));
    const int room = std::max(loaded_.capacity.limits.max_model_len - used, 1);
    out.stop.max_new_tokens = options_.max_tokens > 0 ? std::min(options_.max_tokens, room) : room;
    return out;
  }
  void notify() {
    const std::lock_guard lock(mutex_);
    notified_ = true;
    ready_.notify_one();
  }
  engine::StreamEvent wait(engine::TokenStream& stream) {
    for (;;) {
      if (auto event = stream.next()) return *event;
      if (interrupted.exchange(false)) engine_.client().cancel(current_);
      std::unique_lock lock(mutex_);
      // A signal handler cannot notify: look every now and then.
      ready_.wait_for(lock, std::chrono::milliseconds(50),
                      [this] { return std::exchange(notified_, false); });
    }
  }

  const LoadedModel& loaded_;
  const ChatOptions& options_;
  SteadyClock clock_;
  engine::Engine engine_;
  Json::Array messages_;
  sched::RequestId current_ = 0;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool notified_ = false;
  std::thread thread_;
};

// What is wrong with one message does not end the conversation.
void talk(Conversation& conversation) {
  const bool terminal = isatty(STDIN_FILENO);
  for (std::string line;;) {
    if (terminal) std::cout << "> " << std::flush;
    if (!std::getline(std::cin, line) || line.empty()) return;
    if (const auto asked = conversation.ask(line); !asked.ok())
      fmt::print(stderr, "erne chat: {}\n", asked.status().message);
  }
}

Result<void> chat(const ChatOptions& options, const ServeOptions& serve) {
  if (!options.message.empty()) set_log_level(LogLevel::kWarning);
  const LoadedModel loaded = TRY(load_model(serve));
  if (!loaded.chat_prompt)
    return unsupported("this checkpoint has no chat template: name one with --chat-template",
                       "--chat-template");
  Conversation conversation(loaded, options);
  std::signal(SIGINT, [](int) { interrupted = true; });
  if (!options.message.empty()) return conversation.ask(options.message);
  talk(conversation);
  return {};
}

}  // namespace

int run_chat(std::span<const std::string> arguments) {
  ChatOptions options;
  ServeOptions serve;
  const Command command = chat_command(options, serve);
  if (asks_for_help(arguments)) {
    fmt::print("{}{}", kChatUsage, flags_help(command));
    return 0;
  }
  const auto notes = parse_flags(command, arguments, std::getenv);
  const auto together = notes.ok() ? check_together(serve) : notes.status();
  if (!together.ok()) {
    fmt::print(stderr, "erne chat: {}\n", together.status().message);
    return 2;
  }
  for (const std::string& note : *notes) log_info("{}", note);
  const auto done = chat(options, serve);
  if (done.ok()) return 0;
  fmt::print(stderr, "erne chat: {}\n", done.status().message);
  return 1;
}

}  // namespace erne::apps
