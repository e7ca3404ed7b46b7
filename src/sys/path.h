/* SPDX-License-Identifier: MIT */
/*
 * Paths that somebody else chose, before they are used: spelled in one way, and what is on the way to them.
 *
 * Guarantees: looking follows no symbolic link and changes nothing.
 */
#pragma once

#include <limits.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * Writes path without empty and "." parts and without a slash at its end: "/srv//a/./" becomes "/srv/a". False for what
 * is not absolute, has a ".." or does not fit.
 */
must_check bool path_normalise(const char *path, char ret[static PATH_MAX]);

/* True if path is folder or lies below it; both as path_normalise() writes them. */
bool path_is_below(const char *path, const char *folder);

/*
 * True if whatever there is of path are folders alone; the rest may be missing. False for a symbolic link or anything
 * else on the way or at the end: it is the first *ret_length bytes of path. path is as path_normalise() writes it.
 */
must_check bool path_is_plain(const char *path, size_t *ret_length);

/* True if path, reached through folders alone, is the root of another file system than the folder that it is in. */
must_check bool path_is_mount(const char *path);
