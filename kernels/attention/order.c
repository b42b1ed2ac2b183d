// SPDX-License-Identifier: MIT
// The time that a GPU takes for blocks of different length, by playing through who takes which.
#include "kernels/attention/order.h"
#include "kernels/plan.h"

enum { MOST_WORKERS = 4096 };

int64_t attention_count(const attention_blocks *b)
{
    return plan_ceildiv(b->sq * b->pack, b->rows);
}

int64_t attention_depth(const attention_blocks *b, int64_t block)
{
    int64_t all = plan_ceildiv(b->sk, b->keys),
            last = plan_ceildiv((block + 1) * b->rows, b->pack) + b->sk - b->sq;
    if (!b->causal) return all;
    int64_t seen = last > 0 ? plan_ceildiv(last, b->keys) : 0;
    return seen < all ? seen : all;
}

// The block that is taken as number i.
static int64_t block_at(const attention_order *order, int64_t blocks, int64_t i)
{
    return order->section ? blocks - 1 - i / order->section % blocks : i % blocks;
}

// The heap of times has its least in front; puts that one, which has grown, in its place.
static void sink(int64_t *busy, int64_t n)
{
    for (int64_t at = 0, child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && busy[child + 1] < busy[child]) child++;
        if (busy[at] <= busy[child]) return;
        int64_t time = busy[at];
        busy[at] = busy[child];
        busy[child] = time;
    }
}

int64_t attention_time(const attention_blocks *b, const attention_order *order)
{
    int64_t busy[MOST_WORKERS] = {0}, blocks = attention_count(b), longest = 0;
    if (order->workers > MOST_WORKERS || b->heads > ATTENTION_MOST_BLOCKS ||
        blocks > ATTENTION_MOST_BLOCKS / b->heads)
        return -1;
    for (int64_t i = 0; i < blocks * b->heads; i++) {
        int64_t depth = attention_depth(b, block_at(order, blocks, i));
        int64_t *time = &busy[order->persistent ? i % order->workers : 0];
        *time += depth * order->per_key + order->per_block;
        if (*time > longest) longest = *time;
        if (!order->persistent) sink(busy, order->workers);
    }
    return longest;
}

int64_t attention_least_time(const attention_blocks *b, const attention_order *order)
{
    int64_t blocks = attention_count(b), all = 0, longest = 0;
    if (blocks > ATTENTION_MOST_BLOCKS) return -1;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t time = attention_depth(b, i) * order->per_key + order->per_block;
        all += time;
        if (time > longest) longest = time;
    }
    all = plan_ceildiv(all * b->heads, order->workers);
    return all > longest ? all : longest;
}

int64_t attention_section(int64_t heads, int64_t heads_per_key_head, int64_t bytes_of_key_head,
                          int64_t cache_bytes)
{
    for (int64_t section = heads; section > 1; section--) {
        int64_t key_heads = plan_ceildiv(section, heads_per_key_head);
        if (heads % section == 0 && key_heads <= cache_bytes / bytes_of_key_head) return section;
    }
    return 1;
}
