// Bun on Windows takes its random numbers from ProcessPrng of bcryptprimitives.dll, which wine 8 does not have. This is
// that one function, over the one that wine has (RtlGenRandom, which advapi32 exports under this name).

#include <stddef.h>

__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *bytes, unsigned long count);

static const size_t most_at_once = 1 << 28;

__declspec(dllexport) int __stdcall ProcessPrng(void *bytes, size_t count) {
  unsigned char *place = bytes;
  while (count > 0) {
    size_t part = count < most_at_once ? count : most_at_once;
    if (!SystemFunction036(place, (unsigned long)part)) return 0;
    place += part;
    count -= part;
  }
  return 1;
}
