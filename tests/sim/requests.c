/* Requests as they stand on the wire: what an actor sends, in the words of the protocol. */
#include <string.h>

#include "tests/sim/sim.h"

static slice_t or_absent (const char *text)
{
    return *text ? slice_of (text) : SLICE_ABSENT;
}

static list_t keep_list (const packet_t *packet, buf_t *raw)
{
    list_t list = { .raw = SLICE ("") };
    for (int i = 0; i < packet->keep; i++) {
        message_t item;
        message_init (&item, MSG_HELD_LEASE);
        item.held_lease.job_id = slice_of (packet->kept[i].job);
        item.held_lease.token = slice_of (packet->kept[i].token);
        item.held_lease.attempt = packet->kept[i].attempt;
        list_writer_add (&list, raw, &item);
    }
    return list;
}

/* The same for the same wish: a request that is sent again is the same request. */
static void fill_create (const packet_t *packet, msg_job_create_t *in)
{
    uint64_t wish = packet->wish;
    in->command = SLICE ("true");
    in->file_url = SLICE ("/uploads/x.zip");
    in->filename = SLICE ("x.zip");
    in->timeout_ms = 20000 + (int64_t)(wish % 300000);
    in->max_attempts = 1 + (int64_t)(wish >> 20 & 3);
    if ((wish >> 22 & 3) == 0)
        in->priority = (int64_t)(wish >> 24 & 3) - 1;
    if ((wish >> 26 & 7) == 0)
    in->requires = SLICE (LABEL);
    if ((wish >> 29 & 7) == 0)
        in->delay_ms = (int64_t)(wish >> 32 & 0xffff);
    if ((wish >> 48 & 3) == 0)
        in->retry_on_exit = SLICE ("any\n");
    if ((wish >> 50 & 3) == 0)
        in->backoff_ms = 100;
    in->idempotency_key = or_absent (packet->key);
    in->machine = packet->pinned ? SLICE (MACHINE) : SLICE_ABSENT;
}

#define ABOUT(in)                                                                                                      \
    do {                                                                                                               \
        (in)->job_id = slice_of (packet->job);                                                                         \
        (in)->worker_id = slice_of (a->id);                                                                            \
        (in)->attempt = packet->attempt;                                                                               \
        (in)->token = or_absent (packet->token);                                                                       \
    } while (0)

static void fill_result (const packet_t *packet, const actor_t *a, msg_job_result_t *in)
{
    ABOUT (in);
    in->exit_code = packet->exit_code;
    if (packet->inlined) {
        in->stdout_data = SLICE ("whole");
        in->stderr_data = SLICE ("");
    } else {
        in->stdout_bytes = packet->lengths[STREAM_STDOUT];
        in->stderr_bytes = 0;
    }
    if (!packet->old) /* appended, also when the rest came whole */
        in->journal_bytes = packet->lengths[STREAM_JOURNAL];
}

static void fill_register (const packet_t *packet, const actor_t *a, msg_worker_register_t *in, buf_t *raw)
{
    in->worker_id = slice_of (a->id);
    in->hostname = SLICE ("host");
    in->slots = a->slotted ? SLOTS : INT_ABSENT;
    in->machine = a->slotted ? SLICE (MACHINE) : SLICE_ABSENT;
    in->remote_addr = or_absent (a->addr);
    in->labels = packet->actor == LABELLED ? SLICE (LABEL) : SLICE_ABSENT;
    in->keep = keep_list (packet, raw);
}

static void fill_poll (const packet_t *packet, const actor_t *a, msg_job_poll_t *in)
{
    in->worker_id = a->nameless ? SLICE_ABSENT : slice_of (a->id);
    in->remote_addr = or_absent (a->addr);
    in->slot = packet->slot;
    in->wait = packet->wait;
}

static void fill_output (const packet_t *packet, const actor_t *a, msg_job_output_t *in)
{
    ABOUT (in);
    if (packet->old)
        in->worker_id = SLICE_ABSENT;
    in->stream = slice_of (stream_name (packet->stream));
    in->offset = packet->offset;
    in->data = SLICE ("0123456789");
}

void request_fill (world_t *w, const packet_t *packet, message_t *message, buf_t *raw)
{
    const actor_t *a = &w->actors[packet->actor];
    message_init (message, packet->type);
    switch ((int)packet->type) {
    case MSG_JOB_CREATE:
        fill_create (packet, &message->job_create);
        break;
    case MSG_JOB_CANCEL:
        message->job_cancel.job_id = slice_of (packet->job);
        break;
    case MSG_JOB_CHECK_CANCEL:
        message->job_check_cancel.job_id = slice_of (packet->job);
        break;
    case MSG_JOB_STATUS:
        message->job_status.job_id = slice_of (packet->job);
        break;
    case MSG_WORKER_LIST:
        break;
    case MSG_WORKER_REGISTER:
        fill_register (packet, a, &message->worker_register, raw);
        break;
    case MSG_WORKER_HEARTBEAT:
        message->worker_heartbeat.worker_id = slice_of (a->id);
        message->worker_heartbeat.remote_addr = or_absent (a->addr);
        break;
    case MSG_WORKER_SLEEP:
        message->worker_sleep.worker_id = slice_of (a->id);
        message->worker_sleep.for_ms = packet->wait;
        break;
    case MSG_WORKER_DRAIN:
        message->worker_drain.worker_id = slice_of (packet->job);
        break;
    case MSG_WORKER_RESUME:
        message->worker_resume.worker_id = slice_of (packet->job);
        break;
    case MSG_WORKER_GOODBYE:
        message->worker_goodbye.worker_id = slice_of (a->id);
        message->worker_goodbye.keep = keep_list (packet, raw);
        break;
    case MSG_JOB_POLL:
        fill_poll (packet, a, &message->job_poll);
        break;
    case MSG_JOB_RENEW:
        ABOUT (&message->job_renew);
        message->job_renew.wait = packet->wait;
        break;
    case MSG_JOB_RETURN:
        ABOUT (&message->job_return);
        message->job_return.undelivered = packet->undelivered;
        break;
    case MSG_JOB_OUTPUT:
        fill_output (packet, a, &message->job_output);
        break;
    case MSG_JOB_RESULT:
        fill_result (packet, a, &message->job_result);
        break;
    case MSG_JOB_FAIL:
        ABOUT (&message->job_fail);
        break;
    default:
        sim_fail (w, "no such request");
    }
}
