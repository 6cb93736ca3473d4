#include "apps/chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
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

constexpr char kUsage[] =
    "erne chat --model DIR [flags of erne serve]\n"
    "\n"
    "Talks to a model in the terminal. An empty line or Ctrl-D ends it, Ctrl-C stops an answer.\n"
    "\n"
    "  --message TEXT      ask this one thing, print the answer and end\n"
    "  --system TEXT       system message of the conversation\n"
    "  --max-tokens N      longest answer [what fits the context]\n"
    "  --temperature T     0 takes the likeliest token every time [0]\n";

struct ChatFlags {
  std::string message, system;
  int max_tokens = 0;
  float temperature = 0;
};

std::atomic<bool> interrupted = false;

// Takes the chat's own flags out of the arguments; the rest is erne serve's.
Result<ChatFlags> take_chat_flags(std::vector<std::string>& arguments) {
  std::map<std::string, std::string> values = {
      {"--message", ""}, {"--system", ""}, {"--max-tokens", "0"}, {"--temperature", "0"}};
  for (size_t i = 0; i < arguments.size();) {
    const auto flag = values.find(arguments[i]);
    if (flag == values.end()) {
      ++i;
      continue;
    }
    if (i + 1 == arguments.size()) return invalid(flag->first + " needs a value", flag->first);
    flag->second = arguments[i + 1];
    arguments.erase(arguments.begin() + i, arguments.begin() + i + 2);
  }
  ChatFlags flags{values["--message"], values["--system"]};
  char* end = nullptr;
  flags.max_tokens = static_cast<int>(std::strtol(values["--max-tokens"].c_str(), &end, 10));
  if (*end != '\0' || flags.max_tokens < 0)
    return invalid("--max-tokens must be a whole number from 0", "--max-tokens");
  flags.temperature = std::strtof(values["--temperature"].c_str(), &end);
  if (*end != '\0' || !(flags.temperature >= 0 && flags.temperature <= 2))
    return invalid("--temperature must be from 0 to 2", "--temperature");
  return flags;
}

Json message(const char* role, const std::string& content) {
  return Json().set("role", role).set("content", content);
}

class Conversation {
 public:
  Conversation(const LoadedModel& loaded, const ChatFlags& flags)
      : loaded_(loaded),
        flags_(flags),
        engine_(*loaded.executor, loaded.capacity.limits, clock_),
        thread_([this] { engine_.run(); }) {
    if (!flags.system.empty()) messages_.push_back(message("system", flags.system));
  }
  ~Conversation() {
    engine_.stop();
    thread_.join();
  }

  // Prints the answer as it comes.
  Result<void> ask(const std::string& text) {
    messages_.push_back(message("user", text));
    const auto rendered = TRY(loaded_.chat_prompt->render(messages_, Json(), Json()));
    const auto stream = TRY(engine_.client().submit(request(rendered.ids), [this] { notify(); }));
    std::string answer;
    text::Detokenizer detokenizer(*loaded_.tokenizer, true);
    auto show = [&](std::string_view piece) {
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
    messages_.push_back(message("assistant", answer));
    return {};
  }

 private:
  sched::Request request(const std::vector<sched::TokenId>& prompt) {
    sched::Request out;
    out.id = current_ = engine_.client().next_id();
    out.prompt = prompt;
    out.sampling.temperature = flags_.temperature;
    out.sampling.seed = clock_.now_us();
    out.stop.eos_ids = loaded_.generation.eos_token_ids;
    const int room = loaded_.capacity.limits.max_model_len - static_cast<int>(prompt.size());
    out.stop.max_new_tokens = flags_.max_tokens > 0 ? flags_.max_tokens : std::max(room, 1);
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
  const ChatFlags& flags_;
  SteadyClock clock_;
  engine::Engine engine_;
  Json::Array messages_;
  sched::RequestId current_ = 0;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool notified_ = false;
  std::thread thread_;
};

Result<void> talk(Conversation& conversation) {
  const bool terminal = isatty(STDIN_FILENO);
  for (std::string line;;) {
    if (terminal) std::cout << "> " << std::flush;
    if (!std::getline(std::cin, line) || line.empty()) return {};
    TRY(conversation.ask(line));
  }
}

Result<void> chat(std::vector<std::string> arguments) {
  const ChatFlags flags = TRY(take_chat_flags(arguments));
  const ParsedOptions parsed = TRY(parse_options(arguments, std::getenv));
  if (!flags.message.empty()) set_log_level(LogLevel::kWarning);
  const LoadedModel loaded = TRY(load_model(parsed.options));
  if (!loaded.chat_prompt)
    return unsupported("this checkpoint has no chat template: name one with --chat-template",
                       "--chat-template");
  Conversation conversation(loaded, flags);
  std::signal(SIGINT, [](int) { interrupted = true; });
  if (!flags.message.empty()) return conversation.ask(flags.message);
  return talk(conversation);
}

}  // namespace

int run_chat(std::span<const std::string> arguments) {
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
    fmt::print("{}{}", kUsage, options_help());
    return 0;
  }
  const auto done = chat({arguments.begin(), arguments.end()});
  if (done.ok()) return 0;
  fmt::print(stderr, "erne chat: {}\n", done.status().message);
  return 1;
}

}  // namespace erne::apps
