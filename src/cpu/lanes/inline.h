// The attribute of what works on registers: a value that is passed through memory costs more than
// what is done with it.
#pragma once

#define ERNE_INLINE [[gnu::always_inline]] inline
