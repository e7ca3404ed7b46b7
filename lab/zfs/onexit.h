/* SPDX-License-Identifier: MIT
 *
 * What is to be done when an open /dev/zfs is closed: temporary holds of `zfs send -R` are released then.
 *
 * Guarantees: runs once, after the connection has ended and no call uses it any more.
 * Refuses: nothing; a connection for which nothing was registered costs one small allocation.
 */
#pragma once

#include "compat.h"

/* Makes the state of one connection. Returns its minor number, which stands for it in requests. */
minor_t onexit_open(void);

/* Lets it go. What was registered runs now, or when the last call that holds it has ended. Blocks: for a txg. */
void onexit_close(minor_t minor);
