/* zstd's own header, found where pkg-config says (Debian: libzstd-dev). */
#include <zstd.h>
