/* The gateway's table of calls: ids, deadlines, the order of what waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/calls.h"

static void test_a_removed_call_is_not_found_again (void **state)
{
    (void)state;
    calls_t calls;
    calls_init (&calls);
    call_t *first = calls_add (&calls, 10);
    uint64_t id = first->id;
    assert_ptr_equal (calls_find (&calls, id), first);
    calls_remove (&calls, first);
    assert_null (calls_find (&calls, id));

    call_t *second = calls_add (&calls, 10);
    assert_ptr_equal (second, first); /* the same place ... */
    assert_null (calls_find (&calls, id));
    assert_int_not_equal (second->id, id); /* ... is another call */
    calls_remove (&calls, second);
    assert_null (calls_find (&calls, 0));
    assert_null (calls_find (&calls, UINT64_MAX));
    calls_fini (&calls);
}

static void test_deadlines_come_in_order (void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    calls_t calls;
    calls_init (&calls);
    call_t *all[COUNT];
    uint32_t random = 1;
    for (int at = 0; at < COUNT; at++) {
        random = random * 1664525u + 1013904223u;
        all[at] = calls_add (&calls, random >> 16);
    }
    for (int at = 0; at < COUNT; at += 3)
        calls_move (&calls, all[at], (COUNT - at) * 7);
    for (int at = 1; at < COUNT; at += 3)
        calls_remove (&calls, all[at]);
    int64_t last_ms = 0;
    int left = 0;
    for (call_t *call; (call = calls_earliest (&calls)); left++) {
        assert_true (call->deadline_ms >= last_ms);
        last_ms = call->deadline_ms;
        calls_remove (&calls, call);
    }
    assert_int_equal (left, COUNT - COUNT / 3);
    calls_fini (&calls);
}

static void test_the_table_is_bounded (void **state)
{
    (void)state;
    calls_t calls;
    calls_init (&calls);
    for (int at = 0; at < LINK_CALLS_MAX; at++)
        assert_non_null (calls_add (&calls, at));
    assert_null (calls_add (&calls, 0));
    calls_remove (&calls, calls_earliest (&calls));
    assert_non_null (calls_add (&calls, 0));
    assert_null (calls_add (&calls, 0));
    for (call_t *call; (call = calls_earliest (&calls));)
        calls_remove (&calls, call);
    calls_fini (&calls);
}

static void test_what_waits_keeps_its_order (void **state)
{
    (void)state;
    calls_t calls;
    calls_init (&calls);
    call_t *a = calls_add (&calls, 1);
    call_t *b = calls_add (&calls, 2);
    call_t *c = calls_add (&calls, 3);
    calls_queue (&calls, a);
    calls_queue (&calls, b);
    calls_queue (&calls, c);
    calls_remove (&calls, b);
    assert_ptr_equal (calls.unsent_first, a);
    calls_unqueue (&calls, a);
    assert_ptr_equal (calls.unsent_first, c);
    assert_ptr_equal (calls.unsent_last, c);
    calls_unqueue (&calls, a); /* no longer in the list: nothing happens */
    assert_ptr_equal (calls.unsent_first, c);
    calls_remove (&calls, c);
    assert_null (calls.unsent_first);
    calls_remove (&calls, a);
    calls_fini (&calls);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_removed_call_is_not_found_again),
        cmocka_unit_test (test_deadlines_come_in_order),
        cmocka_unit_test (test_the_table_is_bounded),
        cmocka_unit_test (test_what_waits_keeps_its_order),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
