/* SPDX-License-Identifier: MIT */
/* WITH_SANITIZER: 1 in a build with AddressSanitizer, which traces its own process, else 0. clang and gcc tell apart. */
#pragma once

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WITH_SANITIZER 1
#endif
#ifndef WITH_SANITIZER
#define WITH_SANITIZER 0
#endif
