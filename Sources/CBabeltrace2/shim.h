// libbabeltrace2's own header, and nothing else: everything that is used of it can be imported as it is.
#include <babeltrace2/babeltrace.h>
