// The reply of /v1/responses: items (reasoning, message, function_call), and the events of a stream
// that tell of each as it grows. A reply in one piece is what the events of its stream come to.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "server/reply.h"
#include "server/responses/responses_request.h"

namespace erne::server::responses {

class ResponsesReply final : public Reply {
 public:
  // `keep` is told of the response as it is now, at its beginning and at its end: a stream whose
  // client leaves ends as "cancelled".
  using Keep = std::function<void(const std::string& id, const Json& response)>;
  ResponsesReply(ReplyHead head, Json repeated, const GenerationRequest& request, TokenNames names,
                 Keep keep);
  ~ResponsesReply() override;

  std::string gained(int index, const Delta& delta, const PreparedPrompt& prompt,
                     const Usage& so_far) override;
  std::string ended(const Usage& usage) override;
  std::string failed(const Status& status) override;
  void add_whole(int index, const Delta& whole, const PreparedPrompt& prompt,
                 std::string& choices) override;
  std::string whole(std::string choices, const Usage& usage) override;

 private:
  enum class Kind { kReasoning, kMessage, kCall };
  struct Item {
    Kind kind;
    int call;  // which one; 0 for other kinds
    std::string id;
    std::string text;  // of all kinds: what its deltas came to
    Json scores = Json::Array();
    std::string call_id, name;
  };

  std::string event(std::string_view name, Json data);
  std::string item_event(std::string_view name, Json data);
  std::string begin();
  std::string add(Kind kind, const Delta& delta, const ToolCallDelta* call);
  std::string close(bool complete);
  std::string end(const Usage& usage);
  Json item_json(const Item& item, std::string_view status) const;
  Json part_json(const Item& item) const;
  Json response(std::string_view status) const;
  Json ends_as(std::string_view status);

  ReplyHead head_;
  Json repeated_;
  const GenerationRequest& request_;
  const TokenNames names_;
  const Keep keep_;
  int64_t num_events_ = 0;
  bool begun_ = false, over_ = false;
  std::optional<Item> open_;
  Json::Array items_;  // complete
  std::optional<Finish> finish_;
  Json usage_, error_;  // null until there is one
};

}  // namespace erne::server::responses
