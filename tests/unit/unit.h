/* unit.h - what cmocka wants included, in its order. */
#ifndef GLEANER_TESTS_UNIT_H
#define GLEANER_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/buf.h"

static inline void assert_slice (slice_t actual, const char *expected)
{
    assert_non_null (actual.ptr);
    assert_int_equal (actual.len, strlen (expected));
    assert_memory_equal (actual.ptr, expected, actual.len);
}

#endif
