// A request on its way: submitted to the engine as one sequence per choice, its events turned into
// the reply. Driven by the delivery threads, one at a time, whenever a choice has events; held by
// its exchange, so that it ends with the reply or with the client.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine_client.h"
#include "http/exchange.h"
#include "server/choice.h"
#include "server/generation_request.h"
#include "server/metrics.h"
#include "server/prepare.h"
#include "server/reply.h"
#include "server/request_work.h"
#include "server/server_context.h"

namespace erne::server {

class Generation final : public http::ExchangeListener,
                         public std::enable_shared_from_this<Generation> {
 public:
  // Answers the exchange, now or later, with a reply or an error. `work` has claimed what the
  // request takes, which is given back once its prompts are in tokens.
  static void start(std::shared_ptr<ServerContext> context,
                    std::shared_ptr<http::Exchange> exchange, GenerationRequest request,
                    RequestWork work, const MakeReply& make_reply);

  void on_gone() override;
  void on_writable() override { wake(); }

 private:
  struct Track {
    Track(const GenerationRequest& request, const PreparedPrompt& prompt, bool first_of_prompt,
          ServerContext& context)
        : prompt(prompt),
          first_of_prompt(first_of_prompt),
          choice(request, prompt, context.options.eos_ids, context.tokenizer,
                 context.parser_for(request, prompt.ids), context.tag_ids) {}

    const PreparedPrompt& prompt;
    const bool first_of_prompt;
    Choice choice;
    sched::RequestId id = 0;
    std::shared_ptr<engine::TokenStream> stream;  // until the choice has ended
    RequestTimer timer;
    int cached_tokens = 0;
    Delta whole;  // what a reply in one piece has so far
  };

  Generation(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
             GenerationRequest request, PreparedRequest prepared, RequestWork work,
             const MakeReply& make_reply);

  Result<void> submit();
  void wake();
  void post();
  void run();
  void take_events();
  bool waits_for_prompt(size_t index) const;
  void share_prompt(size_t index, const sched::TokenEvent& event);
  void deliver(int index, const engine::StreamEvent& event);
  void count(Track& track, const sched::TokenEvent& event, int num_gained);
  void send_delta(int index, const Delta& delta);
  void send(std::string events);
  void end();
  void respond();
  void fail(const Status& status);
  void cancel_all();

  const std::shared_ptr<ServerContext> context_;
  const std::shared_ptr<http::Exchange> exchange_;
  const GenerationRequest request_;
  RequestWork work_;  // for the memory, given back after all that takes it has gone
  PreparedRequest prepared_;
  const std::unique_ptr<Reply> reply_;
  std::vector<std::unique_ptr<Track>> tracks_;
  Usage usage_;
  size_t num_ended_ = 0;
  bool streaming_ = false;  // the head of the event stream has been sent
  bool over_ = false;       // the exchange has been answered
  std::atomic<bool> gone_ = false;
  std::atomic<int> num_wakes_ = 1;  // reasons to look for events; 0: no thread is looking
};

}  // namespace erne::server
