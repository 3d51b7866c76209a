#pragma once

/// Blocks that the calling thread has asked the C library for since it began: Swift's objects and arrays are among them.
unsigned long allocationsOfThisThread(void);

/// Those of them less the blocks that the thread has given back.
long blocksKeptByThisThread(void);
