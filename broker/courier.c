#include "broker/courier.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/lines.h"

enum { IDLE_MS = 60 * 1000, WISH_MAX_MS = 60 * 60 * 1000 };

/* A post under way. */
typedef struct flight {
    post_t *post;
    CURL *easy;
    struct curl_slist *headers;
    size_t answered; /* bytes */
    char error[CURL_ERROR_SIZE];
    struct flight *next;
} flight_t;

struct courier {
    const char *agent;
    pthread_t thread;
    CURLM *multi;
    int fd;
    pthread_mutex_t lock;
    post_t *given, **given_end; /* these, and what follows, under the lock */
    post_t *back, **back_end;
    int held;
    bool stopping;
    flight_t *flights; /* the thread's own */
};

post_t *post_new (const char *url, void *ctx, int64_t timeout_ms)
{
    post_t *self = xcalloc (1, sizeof *self);
    self->url = url;
    self->ctx = ctx;
    self->timeout_ms = timeout_ms;
    return self;
}

void post_destroy (post_t **self_p)
{
    post_t *self = *self_p;
    if (!self)
        return;
    free (self->headers);
    buf_fini (&self->body);
    free (self);
    *self_p = NULL;
}

int64_t courier_pause (int failures, int64_t first_ms, int64_t most_ms, int64_t wish_ms, uint32_t random)
{
    int64_t pause = first_ms;
    for (int i = 1; i < failures && pause < most_ms; i++)
        pause *= 2;
    pause = pause > most_ms ? most_ms : pause;
    pause -= (int64_t)(random % ((uint64_t)pause / 2 + 1));
    int64_t wish = wish_ms > WISH_MAX_MS ? WISH_MAX_MS : wish_ms;
    return pause < wish ? wish : pause;
}

/* ---- the thread ---- */

static size_t on_answer (char *bytes, size_t size, size_t count, void *ctx)
{
    flight_t *flight = ctx;
    (void)bytes;
    flight->answered += size * count;
    return flight->answered > COURIER_ANSWER_MAX ? 0 : size * count;
}

static struct curl_slist *header_list (slice_t lines)
{
    struct curl_slist *list = curl_slist_append (NULL, "Content-Type: application/json");
    list = curl_slist_append (list, "Expect:");
    for (slice_t line; lines_next (&lines, &line);) {
        char *text = slice_dup (line);
        list = curl_slist_append (list, text);
        free (text);
    }
    return list;
}

static void set_up (const courier_t *self, flight_t *flight)
{
    CURL *easy = flight->easy;
    const post_t *post = flight->post;
    curl_easy_setopt (easy, CURLOPT_URL, post->url);
    curl_easy_setopt (easy, CURLOPT_PRIVATE, flight);
    curl_easy_setopt (easy, CURLOPT_HTTPHEADER, flight->headers);
    curl_easy_setopt (easy, CURLOPT_USERAGENT, self->agent);
    curl_easy_setopt (easy, CURLOPT_POSTFIELDS, post->body.ptr);
    curl_easy_setopt (easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    curl_easy_setopt (easy, CURLOPT_POST, 1L);
    curl_easy_setopt (easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt (easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt (easy, CURLOPT_TIMEOUT_MS, (long)post->timeout_ms);
    curl_easy_setopt (easy, CURLOPT_CONNECTTIMEOUT_MS, (long)COURIER_CONNECT_MS);
    curl_easy_setopt (easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt (easy, CURLOPT_QUICK_EXIT, 1L); /* a name that is still looked up holds no stop up */
    curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt (easy, CURLOPT_WRITEDATA, flight);
    curl_easy_setopt (easy, CURLOPT_ERRORBUFFER, flight->error);
}

static void flight_end (courier_t *self, flight_t *flight)
{
    for (flight_t **at = &self->flights; *at; at = &(*at)->next)
        if (*at == flight) {
            *at = flight->next;
            break;
        }
    curl_multi_remove_handle (self->multi, flight->easy);
    curl_easy_cleanup (flight->easy);
    curl_slist_free_all (flight->headers);
    free (flight);
}

static void give_back (courier_t *self, post_t *post)
{
    uint64_t one = 1;
    pthread_mutex_lock (&self->lock);
    *self->back_end = post;
    self->back_end = &post->next;
    pthread_mutex_unlock (&self->lock);
    ssize_t put = write (self->fd, &one, sizeof one);
    (void)put; /* it can only be that it is readable already */
}

static void launch (courier_t *self, post_t *post)
{
    flight_t *flight = xcalloc (1, sizeof *flight);
    flight->post = post;
    flight->easy = curl_easy_init ();
    if (!flight->easy) {
        snprintf (post->problem, sizeof post->problem, "out of memory");
        free (flight);
        give_back (self, post);
        return;
    }
    flight->headers = header_list (slice_of (post->headers));
    set_up (self, flight);
    flight->next = self->flights;
    self->flights = flight;
    curl_multi_add_handle (self->multi, flight->easy);
}

static void land (courier_t *self, CURL *easy, CURLcode code)
{
    flight_t *flight = NULL;
    curl_off_t wish = 0;
    curl_easy_getinfo (easy, CURLINFO_PRIVATE, (char **)&flight);
    post_t *post = flight->post;
    /* An answer that is longer than it need be is an answer. */
    bool answered = code == CURLE_OK || (code == CURLE_WRITE_ERROR && flight->answered > COURIER_ANSWER_MAX);
    if (answered) {
        curl_easy_getinfo (easy, CURLINFO_RESPONSE_CODE, &post->status);
        curl_easy_getinfo (easy, CURLINFO_RETRY_AFTER, &wish);
        post->retry_after_ms = wish > WISH_MAX_MS / 1000 ? WISH_MAX_MS : (int64_t)wish * 1000;
    } else {
        snprintf (post->problem, sizeof post->problem, "%.150s",
                  flight->error[0] ? flight->error : curl_easy_strerror (code));
    }
    flight_end (self, flight);
    give_back (self, post);
}

/* What was given, in its order; NULL: nothing. */
static post_t *take_given (courier_t *self, bool *stopping)
{
    pthread_mutex_lock (&self->lock);
    post_t *given = self->given;
    self->given = NULL;
    self->given_end = &self->given;
    *stopping = self->stopping;
    pthread_mutex_unlock (&self->lock);
    return given;
}

static void destroy_all (post_t *post)
{
    while (post) {
        post_t *next = post->next;
        post_destroy (&post);
        post = next;
    }
}

static void *run (void *ctx)
{
    courier_t *self = ctx;
    for (;;) {
        bool stopping = false;
        post_t *given = take_given (self, &stopping);
        if (stopping) {
            destroy_all (given);
            break;
        }
        while (given) {
            post_t *post = given;
            given = post->next;
            post->next = NULL;
            launch (self, post);
        }
        int running = 0;
        curl_multi_perform (self->multi, &running);
        CURLMsg *message = NULL;
        int left = 0;
        while ((message = curl_multi_info_read (self->multi, &left)))
            if (message->msg == CURLMSG_DONE)
                land (self, message->easy_handle, message->data.result);
        curl_multi_poll (self->multi, NULL, 0, IDLE_MS, NULL);
    }
    while (self->flights) {
        post_destroy (&self->flights->post);
        flight_end (self, self->flights);
    }
    return NULL;
}

/* ---- for the loop ---- */

courier_t *courier_new (const char *agent, char *problem, size_t problem_size)
{
    courier_t *self = xcalloc (1, sizeof *self);
    self->agent = agent;
    self->given_end = &self->given;
    self->back_end = &self->back;
    self->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->multi = curl_global_init (CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init () : NULL;
    pthread_mutex_init (&self->lock, NULL);
    if (self->fd >= 0 && self->multi && pthread_create (&self->thread, NULL, run, self) == 0)
        return self;
    snprintf (problem, problem_size, "cannot start the thread that sends webhooks and spans.");
    if (self->multi)
        curl_multi_cleanup (self->multi);
    if (self->fd >= 0)
        close (self->fd);
    pthread_mutex_destroy (&self->lock);
    free (self);
    return NULL;
}

void courier_destroy (courier_t **self_p)
{
    courier_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock (&self->lock);
    self->stopping = true;
    pthread_mutex_unlock (&self->lock);
    curl_multi_wakeup (self->multi);
    pthread_join (self->thread, NULL);
    destroy_all (self->back);
    curl_multi_cleanup (self->multi);
    close (self->fd);
    pthread_mutex_destroy (&self->lock);
    curl_global_cleanup ();
    free (self);
    *self_p = NULL;
}

int courier_fd (const courier_t *self)
{
    return self->fd;
}

bool courier_send (courier_t *self, post_t **post_p)
{
    pthread_mutex_lock (&self->lock);
    bool taken = self->held < COURIER_MAX;
    if (taken) {
        self->held++;
        *self->given_end = *post_p;
        self->given_end = &(*post_p)->next;
        *post_p = NULL;
    }
    pthread_mutex_unlock (&self->lock);
    if (taken)
        curl_multi_wakeup (self->multi);
    return taken;
}

post_t *courier_take (courier_t *self)
{
    uint64_t count = 0;
    pthread_mutex_lock (&self->lock);
    post_t *post = self->back;
    if (post) {
        self->held--;
        self->back = post->next;
        if (!self->back)
            self->back_end = &self->back;
        post->next = NULL;
    } else {
        /* Under the lock: what comes back from now on is told anew, and is not swallowed here. */
        ssize_t got = read (self->fd, &count, sizeof count);
        (void)got;
    }
    pthread_mutex_unlock (&self->lock);
    return post;
}
