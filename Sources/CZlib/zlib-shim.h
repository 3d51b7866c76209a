/* zlib's own header, found where pkg-config says (Debian: zlib1g-dev). */
#include <zlib.h>
