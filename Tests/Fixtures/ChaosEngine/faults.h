// What the chaos engine can do wrong.
#ifndef CHAOS_FAULTS_H
#define CHAOS_FAULTS_H

/// A fault that ends or stops this process by itself: returns only when `mode` is none of them.
void fault_fatal(const char *mode);
/// Leaves a process behind that has its own session, was forked twice, and ignores every signal that can be ignored.
void fault_escape(void);
/// Leaves a child behind that keeps this process's pipes open.
void fault_hold_pipes(void);
/// Leaves a file in TMPDIR.
void fault_litter(void);

#endif
