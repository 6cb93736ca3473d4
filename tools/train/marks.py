"""Texts with an id of their own that the layouts of conversations are made of."""

END_OF_TEXT = "</s>"
END_OF_SENTENCE = "<|end_of_sentence|>"
BEGIN_OF_SENTENCE = "<|begin_of_sentence|>"
SPECIALS = ["<unk>", "<s>", END_OF_TEXT, END_OF_SENTENCE, BEGIN_OF_SENTENCE]

# Not special: whoever reads a reply has to see them.
THINK, END_OF_THINK = "<think>", "</think>"
TOOL_CALL, END_OF_TOOL_CALL = "<tool_call>", "</tool_call>"
REPLY_MARKS = [THINK, END_OF_THINK, TOOL_CALL, END_OF_TOOL_CALL]
