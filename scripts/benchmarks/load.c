/* The two ends of the benchmark, compiled so that neither is the bottleneck.
 *
 *   load upstream [CERTIFICATE]
 *       A chat/completions server on a loopback port, which it prints; with TLS if there is a file in PEM format with a
 *       certificate and its key. A request for the model `bench-RATE-COUNT` gets
 *       COUNT deltas, RATE a second, on a schedule fixed when the request has arrived. Each delta's text holds
 *       `@NUMBER:TIME@`: its number from 0, and when it was due, in nanoseconds of CLOCK_MONOTONIC.
 *   load client PORT REQUEST STREAMS REPEAT COUNT STAGGER FROM UNTIL DEADLINE
 *       Sends the bytes of the file REQUEST over each of STREAMS connections, REPEAT times each, the connections STAGGER
 *       ns apart, and expects COUNT deltas each time. Prints JSON: the delays of the deltas that were due between FROM
 *       and UNTIL, how many arrived in that time, and how long each request took to its first event, its first delta and its end. Gives up at DEADLINE.
 *       A delta is recognised by its mark, in whatever format it comes; a missing or repeated one is an error.
 *
 * Times are nanoseconds, of CLOCK_MONOTONIC where they are points in time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define READ_SIZE (1 << 18)

typedef long long ns;

typedef struct {
    char *data;
    size_t start, size, room;
} Buffer;

typedef struct {
    int fd;
    SSL *tls; /* server; NULL without TLS */
    ns due;    /* server: of the next delta; client: when to connect */
    ns period; /* server */
    ns sent;   /* client: when the request was sent */
    long next, count, repeat;
    int streaming, waits_to_write, status, in_body, saw_first;
    long chunk_left; /* client: of the response's current chunk; -1 in its size line, -2 behind the last */
    Buffer in, out;
} Connection;

typedef struct {
    ns *values;
    size_t size, room;
} Series;

static int poller, timer;
static char scratch[READ_SIZE];

static ns now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void append(Buffer *b, const char *data, size_t size) {
    if (b->start && b->start == b->size) b->start = b->size = 0;
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2;
        if (!(b->data = realloc(b->data, b->room))) die("realloc");
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void record(Series *s, ns value) {
    if (s->size == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        if (!(s->values = realloc(s->values, s->room * sizeof(ns)))) die("realloc");
    }
    s->values[s->size++] = value;
}

/* A heap of connections by `due`. */

static Connection **heap;
static size_t heap_size, heap_room;

static void heap_push(Connection *c) {
    if (heap_size == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 256;
        if (!(heap = realloc(heap, heap_room * sizeof *heap))) die("realloc");
    }
    size_t i = heap_size++;
    while (i && heap[(i - 1) / 2]->due > c->due) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = c;
}

static Connection *heap_pop(void) {
    Connection *top = heap[0], *last = heap[--heap_size];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < heap_size) {
        if (child + 1 < heap_size && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= last->due) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

static void set_timer(void) {
    ns due = heap_size ? heap[0]->due : 0;
    struct itimerspec at = {.it_value = {due / SECOND, due % SECOND}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void watch(int operation, Connection *c, unsigned events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &e)) die("epoll_ctl");
}

static void begin(void) {
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &e);
}

static void prepare(int fd) {
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* As read and write do: -1 and EAGAIN when the connection has to wait. */
static ssize_t tls_result(Connection *c, int n) {
    if (n > 0) return n;
    int error = SSL_get_error(c->tls, n);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    ERR_clear_error();
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t take(Connection *c, char *data, size_t size) {
    return c->tls ? tls_result(c, SSL_read(c->tls, data, size)) : read(c->fd, data, size);
}

static ssize_t give(Connection *c, const char *data, size_t size) {
    return c->tls ? tls_result(c, SSL_write(c->tls, data, size)) : write(c->fd, data, size);
}

/* Send what waits; false when the connection is broken. */
static int flush(Connection *c) {
    while (c->out.start < c->out.size) {
        ssize_t n = give(c, c->out.data + c->out.start, c->out.size - c->out.start);
        if (n < 0 && errno != EAGAIN) return 0;
        if (n < 0) break;
        c->out.start += n;
    }
    int waits = c->out.start < c->out.size;
    if (waits != c->waits_to_write) {
        c->waits_to_write = waits;
        watch(EPOLL_CTL_MOD, c, EPOLLIN | (waits ? EPOLLOUT : 0));
    }
    return 1;
}

/* The upstream */

static void put_event(Connection *c, const char *json) {
    char chunk[1024];
    int size = (int)strlen(json) + 8;
    append(&c->out, chunk, sprintf(chunk, "%x\r\ndata: %s\n\n\r\n", size, json));
}

#define CHUNK "{\"id\":\"chatcmpl-9f3c1d5e7a\",\"object\":\"chat.completion.chunk\",\"created\":1763000000," \
              "\"model\":\"bench\",\"system_fingerprint\":\"fp_8802369eaa\",\"choices\":[{\"index\":0,\"delta\":"

static void put_delta(Connection *c) {
    char json[512];
    sprintf(json, CHUNK "{\"content\":\" word @%ld:%lld@\"},\"logprobs\":null,\"finish_reason\":null}]}", c->next, c->due);
    put_event(c, json);
}

static void put_end(Connection *c) {
    put_event(c, CHUNK "{\"content\":\"\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
                       "{\"prompt_tokens\":1000,\"completion_tokens\":500,\"total_tokens\":1500}}");
    append(&c->out, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
}

static void drop(Connection *c) {
    if (c->fd >= 0) close(c->fd);
    SSL_free(c->tls);
    c->tls = NULL;
    c->fd = -1; /* the heap may still hold it; forgotten when due */
    if (!c->streaming) {
        free(c->in.data);
        free(c->out.data);
        free(c);
    }
}

static void start_answer(Connection *c, const char *body, size_t size) {
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    const char *name = memmem(body, size, "bench-", 6);
    long rate = 50;
    c->count = 1;
    if (name) sscanf(name, "bench-%ld-%ld", &rate, &c->count);
    c->next = 0;
    c->period = SECOND / rate;
    c->due = now();
    c->streaming = 1;
    append(&c->out, head, sizeof head - 1);
    put_event(c, CHUNK "{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}");
    heap_push(c);
}

static int take_request(Connection *c) {
    char *data = c->in.data + c->in.start;
    size_t size = c->in.size - c->in.start;
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0;
    char *length = strcasestr(data, "\r\ncontent-length:");
    size_t head = end + 4 - data, body = length ? strtoul(length + 17, NULL, 10) : 0;
    *end = '\r';
    if (size < head + body) return 0;
    if (!strncmp(data, "POST", 4))
        start_answer(c, data + head, body);
    else
        append(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"data\":[]}", 85);
    c->in.start += head + body;
    return 1;
}

static void serve_due(void) {
    ns time = now();
    while (heap_size && heap[0]->due <= time) {
        Connection *c = heap_pop();
        if (c->fd < 0) {
            c->streaming = 0;
            drop(c);
            continue;
        }
        put_delta(c);
        c->due += c->period;
        if (++c->next < c->count) {
            heap_push(c);
        } else {
            put_end(c);
            c->streaming = 0;
        }
        if (!flush(c)) drop(c);
    }
    set_timer();
}

static SSL_CTX *tls_of(const char *certificate) {
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, certificate, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

static void upstream(const char *certificate) {
    SSL_CTX *tls = certificate ? tls_of(certificate) : NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    Connection listener = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    if (bind(listener.fd, (struct sockaddr *)&address, length) || listen(listener.fd, 4096)) die("listen");
    getsockname(listener.fd, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    watch(EPOLL_CTL_ADD, &listener, EPOLLIN);
    for (struct epoll_event events[256];;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) {
                read(timer, scratch, 8);
            } else if (c == &listener) {
                int fd = accept(listener.fd, NULL, NULL);
                if (fd < 0) continue;
                prepare(fd);
                if (!(c = calloc(1, sizeof *c))) die("calloc");
                c->fd = fd;
                if (tls) {
                    c->tls = SSL_new(tls);
                    SSL_set_fd(c->tls, fd);
                    SSL_set_accept_state(c->tls);
                }
                watch(EPOLL_CTL_ADD, c, EPOLLIN);
            } else {
                ssize_t n = take(c, scratch, READ_SIZE);
                while (n > 0) {
                    append(&c->in, scratch, n);
                    if (!c->tls || (n = take(c, scratch, READ_SIZE)) <= 0) break;
                }
                int ended = n == 0 || (n < 0 && errno != EAGAIN);
                if (c->in.size > c->in.start && !c->streaming) take_request(c);
                if (ended || !flush(c)) drop(c);
            }
        }
        serve_due();
    }
}

/* The client */

static Series delays, first_events, first_deltas, totals;
static long completed, errors, expected, stray, received;
static ns from, until;

static void fault(Connection *c, const char *why) {
    if (!errors++) fprintf(stderr, "%s; status %d, delta %ld: %.400s\n", why, c->status, c->next, scratch);
    close(c->fd);
    c->fd = -1;
}

/* Read the marks in `size` bytes of body; a mark cut in two is kept in `in`. */
static void read_marks(Connection *c, ns time) {
    char *at = c->in.data + c->in.start, *end = c->in.data + c->in.size;
    while ((at = memchr(at, '@', end - at))) {
        char *rest, *close = memchr(at + 1, '@', end - at - 1);
        if (!close) {
            if (end - at < 64) break;
            at++;
            continue;
        }
        long number = strtol(at + 1, &rest, 10);
        if (*rest != ':') {
            at++;
            continue;
        }
        ns due = strtoll(rest + 1, NULL, 10);
        if (number == c->next) {
            if (number == 0) record(&first_deltas, time - c->sent);
            if (due >= from && due < until) record(&delays, time - due);
            received += time >= from && time < until;
            c->next++;
        } else if (number > c->next) {
            stray++; /* out of order; the whole text at the end repeats numbers below `next` only */
        }
        at = close + 1;
    }
    c->in.start = at ? (size_t)(at - c->in.data) : c->in.size;
    memmove(c->in.data, c->in.data + c->in.start, c->in.size - c->in.start);
    c->in.size -= c->in.start;
    c->in.start = 0;
}

/* Undo the chunked encoding; true at the end of the body. */
static int take_body(Connection *c, const char *data, size_t size, ns time) {
    static char line[64];
    if (size && !c->saw_first) {
        c->saw_first = 1;
        record(&first_events, time - c->sent);
    }
    while (size) {
        if (c->chunk_left > 0) {
            size_t part = (size_t)c->chunk_left < size ? (size_t)c->chunk_left : size;
            append(&c->in, data, part);
            data += part, size -= part, c->chunk_left -= part;
            if (!c->chunk_left) c->chunk_left = -1;
            continue;
        }
        /* size lines are short: what a read cuts is kept in `out`, which is free by now */
        const char *lf = memchr(data, '\n', size);
        size_t part = lf ? (size_t)(lf - data) + 1 : size;
        append(&c->out, data, part);
        data += part, size -= part;
        if (!lf) break;
        size_t length = c->out.size - c->out.start;
        memcpy(line, c->out.data + c->out.start, length < 63 ? length : 63);
        line[length < 63 ? length : 63] = 0;
        c->out.start = c->out.size;
        if (line[0] == '\r') {
            if (c->chunk_left == -2) return 1;
            continue;
        }
        c->chunk_left = strtol(line, NULL, 16);
        if (!c->chunk_left) c->chunk_left = -2;
    }
    return 0;
}

static void take_answer(Connection *c, char *data, size_t size) {
    ns time = now();
    int ended = 0;
    if (!c->in_body) {
        append(&c->in, data, size);
        char *head = c->in.data + c->in.start, *end = memmem(head, c->in.size - c->in.start, "\r\n\r\n", 4);
        if (!end) return;
        sscanf(head, "HTTP/1.1 %d", &c->status);
        if (c->status != 200) return fault(c, "refused");
        c->in_body = 1;
        c->chunk_left = -1;
        data += size - (c->in.data + c->in.size - (end + 4));
        size = c->in.data + c->in.size - (end + 4);
        c->in.start = c->in.size = 0;
    }
    ended = take_body(c, data, size, time);
    read_marks(c, time);
    if (!ended) return;
    if (c->next != c->count) return fault(c, "incomplete");
    completed++;
    record(&totals, time - c->sent);
    c->in.start = c->in.size = 0;
    if (--c->repeat) {
        heap_push(c);
        set_timer();
    } else {
        close(c->fd);
        c->fd = -1;
    }
}

static void send_request(Connection *c, Buffer *request, int port) {
    if (c->fd < 0) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
        prepare(c->fd);
        watch(EPOLL_CTL_ADD, c, EPOLLIN);
    }
    c->in_body = c->saw_first = 0;
    c->next = 0;
    c->sent = now();
    append(&c->out, request->data, request->size);
    if (!flush(c)) fault(c, "broken");
}

static int by_value(const void *a, const void *b) {
    ns x = *(const ns *)a, y = *(const ns *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *name, Series *s) {
    printf(",\"%s\":[", name);
    for (size_t i = 0; i < s->size; i++) printf(i ? ",%lld" : "%lld", s->values[i]);
    printf("]");
}

static void report(void) {
    static const double ranks[] = {0, .01, .05, .1, .25, .5, .75, .9, .95, .98, .99, .995, .999, 1};
    qsort(delays.values, delays.size, sizeof(ns), by_value);
    printf("{\"completed\":%ld,\"errors\":%ld,\"deltas\":%zu,\"received\":%ld,\"delays\":{", completed,
           errors + stray, delays.size, received);
    for (size_t i = 0; delays.size && i < sizeof ranks / sizeof *ranks; i++)
        printf("%s\"%g\":%lld", i ? "," : "", ranks[i], delays.values[(size_t)(ranks[i] * (delays.size - 1))]);
    printf("}");
    print_series("first_event", &first_events);
    print_series("first_delta", &first_deltas);
    print_series("total", &totals);
    printf("}\n");
}

static void client(char **arguments) {
    int port = atoi(arguments[0]), file = open(arguments[1], O_RDONLY);
    long streams = atol(arguments[2]), repeat = atol(arguments[3]), count = atol(arguments[4]);
    ns stagger = atoll(arguments[5]), deadline = atoll(arguments[8]);
    from = atoll(arguments[6]), until = atoll(arguments[7]);
    Buffer request = {0};
    if (file < 0) die(arguments[1]);
    for (ssize_t n; (n = read(file, scratch, READ_SIZE)) > 0;) append(&request, scratch, n);
    ns start = now();
    for (long i = 0; i < streams; i++) {
        Connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        *c = (Connection){.fd = -1, .due = start + i * stagger, .count = count, .repeat = repeat};
        heap_push(c);
    }
    expected = streams * repeat;
    set_timer();
    while (completed + errors < expected && now() < deadline) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) {
                read(timer, scratch, 8);
                continue;
            }
            if (events[i].events & EPOLLOUT && !flush(c)) fault(c, "broken");
            if (c->fd < 0 || !(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            ssize_t n = read(c->fd, scratch, READ_SIZE - 1);
            if (n > 0) scratch[n] = 0, take_answer(c, scratch, n);
            else if (n == 0 || errno != EAGAIN) fault(c, "closed");
        }
        while (heap_size && heap[0]->due <= now()) send_request(heap_pop(), &request, port);
        set_timer();
    }
    report();
}

int main(int count, char **arguments) {
    begin();
    if ((count == 2 || count == 3) && !strcmp(arguments[1], "upstream")) upstream(arguments[2]);
    else if (count == 11 && !strcmp(arguments[1], "client")) client(arguments + 2);
    else return fputs("usage: see the head of load.c\n", stderr), 2;
    return 0;
}
