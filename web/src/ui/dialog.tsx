// Dialogs on the browser's own <dialog>: focus stays inside, Escape closes, the page behind is inert.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

/** Opens the <dialog> that gets the reference for as long as it is shown; then the focus goes back to where it was. */
export function useModal() {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return element;
}

export function Dialog({ title, onClose, children, class: className = "" }: DialogProps) {
  const element = useModal();
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions, jsx-a11y/click-events-have-key-events -- Escape does it by keyboard
    <dialog
      ref={element}
      class={`dialog ${className}`}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}

interface Question {
  title: string;
  text: string;
  yes: string;
  danger: boolean;
  answer: (yes: boolean) => void;
}

const question = signal<Question | null>(null);

/** Asks; true when the user says yes. One question at a time: a second one answers the first with no. */
export function confirm(title: string, text: string, yes: string, danger = false): Promise<boolean> {
  question.value?.answer(false);
  return new Promise((resolve) => {
    question.value = {
      title,
      text,
      yes,
      danger,
      answer: (said) => {
        question.value = null;
        resolve(said);
      },
    };
  });
}

/** Where questions are shown; stands once in the page. */
export function Questions() {
  const asked = question.value;
  if (!asked) return null;
  return (
    <Dialog title={asked.title} onClose={() => asked.answer(false)}>
      <h2>{asked.title}</h2>
      <p>{asked.text}</p>
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={() => asked.answer(false)}>
          Leave it
        </button>
        <button type="button" class={`button ${asked.danger ? "danger" : "primary"}`} onClick={() => asked.answer(true)}>
          {asked.yes}
        </button>
      </div>
    </Dialog>
  );
}
