// The registers of the instruction set that a kernel file is written for: it names the file that
// brings them as ERNE_LANES_FILE before its includes. Everything is internal to the kernel file.
#pragma once

#ifndef ERNE_LANES_FILE  // of a header that is compiled alone
#define ERNE_LANES_FILE "cpu/lanes/avx512_dots.h"
#endif
#include ERNE_LANES_FILE
