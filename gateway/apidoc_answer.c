#include <stdlib.h>

#include "gateway/apidoc.h"
#include "gateway/asset.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"

/* Made once, at the first call. */
static const buf_t *document (gateway_t *gateway)
{
    if (gateway->apidoc.len)
        return &gateway->apidoc;
    json_t *json = apidoc_make ();
    char *text = json_dumps (json, JSON_COMPACT);
    json_decref (json);
    buf_append_str (&gateway->apidoc, text ? text : "");
    free (text);
    return &gateway->apidoc;
}

void apidoc_handle (request_t *request)
{
    const buf_t *bytes = document (request->gateway);
    char tag[ASSET_TAG_SIZE];
    asset_tag (buf_slice (bytes), tag);
    bool known = asset_tag_listed (request_header (request, MHD_HTTP_HEADER_IF_NONE_MATCH), tag);
    /* The gateway, and so the bytes, outlives its answers. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer (known ? 0 : bytes->len, bytes->ptr, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header (response, MHD_HTTP_HEADER_ETAG, tag);
    MHD_add_response_header (response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    if (!known)
        MHD_add_response_header (response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    request_answer (request, known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
}
