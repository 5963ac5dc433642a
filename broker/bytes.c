#include <sodium.h>
#include <string.h>

#include "broker/broker.h"
#include "proto/id.h"

enum { HASH = 32 };

/* Everybody has names of their own for uploads: by the same one nobody writes into what is another's. */
static depot_order_t *upload_order (const broker_t *self, depot_kind_t kind, uint64_t request, slice_t upload)
{
    depot_order_t *order = depot_order_new (kind, request);
    if (!self->who || !self->who->name[0]) {
        slice_copy (upload, order->upload, sizeof order->upload);
        return order;
    }
    unsigned char hash[HASH];
    const char *name = self->who->name;
    crypto_generichash_state state;
    crypto_generichash_init (&state, NULL, 0, sizeof hash);
    crypto_generichash_update (&state, (const unsigned char *)name, strlen (name) + 1);
    crypto_generichash_update (&state, (const unsigned char *)upload.ptr, upload.len);
    crypto_generichash_final (&state, hash, sizeof hash);
    hex_format (hash, sizeof hash, order->upload);
    return order;
}

static depot_order_t *put_order (const broker_t *self, uint64_t request, const msg_blob_put_t *in, zmq_msg_t *frame)
{
    depot_order_t *order = upload_order (self, DEPOT_BLOB_PUT, request, in->upload);
    order->offset = in->offset;
    order_take_frame (order, frame, in->data);
    return order;
}

static depot_order_t *commit_order (const broker_t *self, uint64_t request, const msg_blob_commit_t *in)
{
    depot_order_t *order = upload_order (self, DEPOT_BLOB_COMMIT, request, in->upload);
    order->bytes = in->bytes;
    order->zip = in->zip == 1;
    slice_copy (in->sha256, order->sha256, sizeof order->sha256);
    return order;
}

static depot_order_t *get_order (uint64_t request, const msg_blob_get_t *in)
{
    depot_order_t *order = depot_order_new (DEPOT_BLOB_GET, request);
    slice_copy (in->sha256, order->sha256, sizeof order->sha256);
    order->offset = in->offset;
    return order;
}

static depot_order_t *check_order (uint64_t request, const msg_blob_check_t *in)
{
    depot_order_t *order = depot_order_new (DEPOT_BLOB_CHECK, request);
    slice_copy (in->sha256, order->sha256, sizeof order->sha256);
    return order;
}

/* What the record and the disk both have need not be sent (rule 46); it counts as used now, in this turn's commit, so
 * that it is still there when the job comes that names it. */
static void checked (broker_t *self, const depot_order_t *order)
{
    char url[BLOB_URL_LEN + 1];
    message_t answer;
    slice_t sha256 = slice_of (order->sha256);
    bool known = !order->err && self->store->ops->blob_known (self->store, sha256) == order->bytes && order->bytes;
    err_t err =
        known && !self->lost ? self->store->ops->blob_put (self->store, sha256, order->bytes, self->wall_ms) : ERR_NONE;
    if (err && err != ERR_DISK_FULL)
        broker_die (err);
    self->lost = self->lost || err;
    message_init (&answer, MSG_BLOB_CHECK_OK);
    answer.blob_check_ok.known = known && !err;
    answer.blob_check_ok.deltas = core_takes_deltas (self->core);
    if (answer.blob_check_ok.known) {
        blob_url_format (sha256, url);
        answer.blob_check_ok.bytes = order->bytes;
        answer.blob_check_ok.file_url = slice_of (url);
    }
    broker_reply (self, order->request, &answer, NULL);
}

void bytes_request (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame)
{
    if ((message->type == MSG_BLOB_PUT || message->type == MSG_BLOB_COMMIT) && disk_refuses (self, request))
        return;
    if (message->type == MSG_BLOB_GET && !hex_valid (message->blob_get.sha256, SHA256_HEX))
        broker_reply_error (self, request, ERR_NO_SUCH_BLOB);
    else if (message->type == MSG_BLOB_GET)
        broker_order (self, get_order (request, &message->blob_get));
    else if (message->type == MSG_BLOB_CHECK && !hex_valid (message->blob_check.sha256, SHA256_HEX))
        broker_reply_error (self, request, ERR_SCHEMA);
    else if (message->type == MSG_BLOB_CHECK)
        broker_order (self, check_order (request, &message->blob_check));
    else if (message->type == MSG_BLOB_PUT)
        broker_order (self, put_order (self, request, &message->blob_put, frame));
    else if (message->type == MSG_BLOB_COMMIT)
        broker_order (self, commit_order (self, request, &message->blob_commit));
    else
        broker_order (self, upload_order (self, DEPOT_BLOB_ABORT, request, message->blob_abort.upload));
}

void bytes_outcome (broker_t *self, depot_order_t *order)
{
    char url[BLOB_URL_LEN + 1];
    message_t answer;
    if (order->kind == DEPOT_BLOB_CHECK && (!order->err || order->err == ERR_NO_SUCH_BLOB)) {
        checked (self, order);
        return;
    }
    if (order->err) {
        broker_reply_error (self, order->request, order->err);
        return;
    }
    if (order->kind == DEPOT_BLOB_PUT) {
        message_init (&answer, MSG_BLOB_PUT_OK);
        answer.blob_put_ok.offset = order->bytes;
    } else if (order->kind == DEPOT_BLOB_COMMIT) {
        /* Known to housekeeping in this turn's commit, before anybody hears of it. */
        err_t err = self->lost ? ERR_DISK_FULL
                               : self->store->ops->blob_put (self->store, slice_of (order->sha256), order->bytes,
                                                             self->wall_ms);
        if (err && err != ERR_DISK_FULL)
            broker_die (err);
        if (err) {
            self->lost = true;
            broker_reply_error (self, order->request, err);
            return;
        }
        message_init (&answer, MSG_BLOB_COMMIT_OK);
        blob_url_format (slice_of (order->sha256), url);
        answer.blob_commit_ok.sha256 = slice_of (order->sha256);
        answer.blob_commit_ok.bytes = order->bytes;
        answer.blob_commit_ok.file_url = slice_of (url);
    } else if (order->kind == DEPOT_BLOB_GET) {
        message_init (&answer, MSG_BLOB_GET_OK);
        answer.blob_get_ok.offset = order->offset;
        answer.blob_get_ok.bytes = order->bytes;
        answer.blob_get_ok.data = slice_from (order->got[0].ptr, order->got[0].len);
    } else {
        message_init (&answer, MSG_BLOB_ABORT_OK);
    }
    broker_reply (self, order->request, &answer, NULL);
}
