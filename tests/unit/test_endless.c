/* Messages without an end: who sends one is cut off, and nobody else. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/endless.h"
#include "proto/limits.h"
#include "unit.h"

enum {
    GROWN = 64 * 1024 * 1024,
    BLOCKS_MAX = 8,
    LOOK_MS = 200,
    SOON_MS = 20,
    CALM_MS = 61 * 1000,
    DESCRIPTORS_MAX = 99,
};

typedef struct {
    endless_t *endless;
    int64_t now_ms;
    int peer;  /* sends */
    int taken; /* the broker's end */
    int blocks;
    void *block[BLOCKS_MAX];
} fixture_t;

static int setup (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (bind (listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal (listen (listener, 1), 0);
    assert_int_equal (getsockname (listener, (struct sockaddr *)&address, &size), 0);
    self->peer = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (connect (self->peer, (struct sockaddr *)&address, sizeof address), 0);
    self->taken = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true (self->taken >= 0);
    close (listener);
    self->endless = endless_new ();
    self->now_ms = 1000;
    *state = self;
    return 0;
}

static int teardown (void **state)
{
    fixture_t *self = *state;
    endless_destroy (&self->endless);
    close (self->peer);
    close (self->taken);
    for (int i = 0; i < self->blocks; i++)
        munmap (self->block[i], GROWN);
    free (self);
    return 0;
}

/* How many are cut off by the next look. */
static int look (fixture_t *self)
{
    self->now_ms += LOOK_MS;
    return endless_turn (self->endless, self->now_ms, true);
}

/* Memory grows by so much that connections are watched. */
static void grow (fixture_t *self)
{
    assert_true (self->blocks < BLOCKS_MAX);
    void *block = mmap (NULL, GROWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true (block != MAP_FAILED);
    self->block[self->blocks++] = block;
}

/* More than a message can be comes by the connection, and is read. */
static void send_much (const fixture_t *self)
{
    static char bytes[64 * 1024];
    for (int64_t sent = 0; sent < 2 * FRAME_MAX; sent += (int64_t)sizeof bytes) {
        assert_int_equal (send (self->peer, bytes, sizeof bytes, 0), sizeof bytes);
        assert_int_equal (recv (self->taken, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
    }
}

static void send_and_grow (fixture_t *self)
{
    send_much (self);
    grow (self);
}

static bool is_whole (const fixture_t *self)
{
    char byte = 1;
    return send (self->peer, &byte, 1, MSG_NOSIGNAL) == 1 && recv (self->taken, &byte, 1, 0) == 1;
}

static void test_a_message_without_an_end_is_cut_off (void **state)
{
    fixture_t *self = *state;
    assert_int_equal (look (self), 0);
    grow (self);
    assert_int_equal (look (self), 0);
    assert_true (endless_watches (self->endless));
    send_and_grow (self);
    assert_int_equal (look (self), 0); /* it may have come to its end just now */
    send_and_grow (self);
    assert_int_equal (look (self), 1);
    assert_false (is_whole (self));
}

static void test_whole_messages_are_not (void **state)
{
    fixture_t *self = *state;
    assert_int_equal (look (self), 0);
    grow (self);
    for (int i = 0; i < 4; i++) {
        send_and_grow (self);
        endless_spoke (self->endless, self->taken);
        assert_int_equal (look (self), 0);
    }
    assert_true (is_whole (self));
}

/* Looking at ten thousand connections takes 25 ms: nobody is looked at while nothing more is kept. */
static void test_while_memory_stays_nobody_is (void **state)
{
    fixture_t *self = *state;
    look (self);
    grow (self);
    for (int i = 0; i < 4; i++) {
        assert_int_equal (look (self), 0);
        send_much (self);
    }
    assert_true (endless_watches (self->endless));
    assert_true (is_whole (self));
}

/* What came while nobody was watched says nothing: its messages were not counted. */
static void test_what_came_between_two_alarms_is_no_message (void **state)
{
    fixture_t *self = *state;
    assert_int_equal (look (self), 0);
    grow (self);
    assert_int_equal (look (self), 0);
    self->now_ms += CALM_MS;
    assert_int_equal (look (self), 0);
    assert_false (endless_watches (self->endless));
    send_much (self);
    grow (self);
    for (int i = 0; i < 4; i++) {
        assert_int_equal (look (self), 0);
        grow (self);
    }
    assert_true (endless_watches (self->endless));
    assert_true (is_whole (self));
}

/* At a gigabyte a second, what comes between two looks is what the machine has left. */
static void test_while_memory_grows_looks_follow_soon (void **state)
{
    fixture_t *self = *state;
    look (self);
    look (self);
    assert_int_equal (endless_deadline (self->endless), self->now_ms + LOOK_MS);
    for (int i = 0; i < 2; i++) {
        grow (self);
        look (self);
        assert_int_equal (endless_deadline (self->endless), self->now_ms + SOON_MS);
    }
    look (self);
    assert_int_equal (endless_deadline (self->endless), self->now_ms + LOOK_MS);
}

/* A message that has ended may still be among those that wait. */
static void test_a_full_socket_lets_everybody_have_a_turn (void **state)
{
    fixture_t *self = *state;
    look (self);
    grow (self);
    look (self);
    for (int i = 0; i < 2; i++) {
        send_and_grow (self);
        self->now_ms += CALM_MS / 4;
        assert_int_equal (endless_turn (self->endless, self->now_ms, false), 0);
        for (int message = 0; message < 2 * DESCRIPTORS_MAX; message++)
            endless_spoke (self->endless, self->peer);
        self->now_ms += LOOK_MS;
        assert_int_equal (endless_turn (self->endless, self->now_ms, false), i);
    }
    assert_false (is_whole (self));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_message_without_an_end_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown (test_whole_messages_are_not, setup, teardown),
        cmocka_unit_test_setup_teardown (test_while_memory_stays_nobody_is, setup, teardown),
        cmocka_unit_test_setup_teardown (test_what_came_between_two_alarms_is_no_message, setup, teardown),
        cmocka_unit_test_setup_teardown (test_while_memory_grows_looks_follow_soon, setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_full_socket_lets_everybody_have_a_turn, setup, teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
