// Why a model does not answer, in words; `again` where asking once more may help.
export class Refusal extends Error {
  constructor(text, again = false) {
    super(text);
    this.again = again;
  }
}
